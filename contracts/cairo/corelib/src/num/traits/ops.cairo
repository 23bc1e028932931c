pub mod checked;
pub mod overflowing;
pub mod saturating;
pub mod wrapping;
