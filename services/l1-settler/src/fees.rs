//! What is paid, within bounds.

use sidereal_settlement::Fees;

/// What the pools of blob transactions want of a replacement: twice of everything (go-ethereum's `blobpool` and reth,
/// 100 %; other transactions are content with a tenth).
pub const REPLACEMENT_FACTOR: u128 = 2;
/// The base fee at most doubles in six blocks, the blob base fee likewise.
const HEADROOM: u128 = 2;

/// Prices on L1, in wei a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Base fee of the last block.
    pub base_fee: u128,
    /// The tip that the node suggests.
    pub priority_fee: u128,
    /// Price of blob gas in the next block.
    pub blob_base_fee: u128,
}

/// The most that may be paid, in wei a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeBounds {
    /// For execution, the tip included.
    pub max_fee_per_gas: u128,
    /// Tip.
    pub max_priority_fee_per_gas: u128,
    /// For blob gas.
    pub max_fee_per_blob_gas: u128,
}

/// Nothing can be sent for what may be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} costs {price} wei a unit, more than the bound of {bound}")]
pub struct TooExpensive {
    /// Gas, or blob gas.
    pub what: &'static str,
    /// What it costs, or what a replacement would have to offer.
    pub price: u128,
    /// What may be paid.
    pub bound: u128,
}

impl FeeBounds {
    /// Fees of a transaction that replaces none.
    ///
    /// # Errors
    /// When even the present prices are above the bounds.
    pub fn first(&self, prices: &Prices) -> Result<Fees, TooExpensive> {
        // A replacement must offer more of each: nothing doubles to nothing.
        let tip = prices.priority_fee.max(1).min(self.max_priority_fee_per_gas);
        let within = |what, price: u128, offer: u128, bound| {
            if price > bound {
                Err(TooExpensive { what, price, bound })
            } else {
                Ok(offer.min(bound))
            }
        };
        let base = prices.base_fee;
        let blob = prices.blob_base_fee.max(1);
        Ok(Fees {
            max_fee_per_gas: within(
                "gas",
                base.saturating_add(tip),
                base.saturating_mul(HEADROOM).saturating_add(tip),
                self.max_fee_per_gas,
            )?,
            max_priority_fee_per_gas: tip,
            max_fee_per_blob_gas: within(
                "blob gas",
                blob,
                blob.saturating_mul(HEADROOM),
                self.max_fee_per_blob_gas,
            )?,
        })
    }

    /// Fees of a transaction that offers no less than an earlier one of the same nonce.
    ///
    /// # Errors
    /// When the present prices are above the bounds.
    pub fn again(&self, prices: &Prices, earlier: &Fees) -> Result<Fees, TooExpensive> {
        let fees = self.first(prices)?;
        Ok(Fees {
            max_fee_per_gas: fees.max_fee_per_gas.max(earlier.max_fee_per_gas),
            max_priority_fee_per_gas: fees
                .max_priority_fee_per_gas
                .max(earlier.max_priority_fee_per_gas),
            max_fee_per_blob_gas: fees.max_fee_per_blob_gas.max(earlier.max_fee_per_blob_gas),
        })
    }

    /// Fees of a transaction that takes the place of another in the pool.
    ///
    /// # Errors
    /// When the pool would want more than may be paid.
    pub fn replacement(&self, prices: &Prices, replaced: &Fees) -> Result<Fees, TooExpensive> {
        let least = |what, replaced: u128, bound| {
            let price = replaced.saturating_mul(REPLACEMENT_FACTOR);
            if price > bound { Err(TooExpensive { what, price, bound }) } else { Ok(price) }
        };
        let least = Fees {
            max_fee_per_gas: least("gas", replaced.max_fee_per_gas, self.max_fee_per_gas)?,
            max_priority_fee_per_gas: least(
                "the tip",
                replaced.max_priority_fee_per_gas,
                self.max_priority_fee_per_gas,
            )?,
            max_fee_per_blob_gas: least(
                "blob gas",
                replaced.max_fee_per_blob_gas,
                self.max_fee_per_blob_gas,
            )?,
        };
        self.again(prices, &least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: FeeBounds = FeeBounds {
        max_fee_per_gas: 1_000,
        max_priority_fee_per_gas: 100,
        max_fee_per_blob_gas: 500,
    };

    /// Pins down that offers leave room for rising prices, and end at the bounds.
    #[test]
    fn offers_have_headroom_within_the_bounds() {
        let prices = Prices { base_fee: 100, priority_fee: 7, blob_base_fee: 20 };
        let fees = BOUNDS.first(&prices).unwrap();
        assert_eq!((fees.max_fee_per_gas, fees.max_priority_fee_per_gas), (207, 7));
        assert_eq!(fees.max_fee_per_blob_gas, 40);

        let high = Prices { base_fee: 900, priority_fee: 1_000, blob_base_fee: 500 };
        let fees = BOUNDS.first(&high).unwrap();
        assert_eq!((fees.max_fee_per_gas, fees.max_priority_fee_per_gas), (1_000, 100));
        assert_eq!(fees.max_fee_per_blob_gas, 500);

        let error = BOUNDS.first(&Prices { base_fee: 901, ..high }).unwrap_err();
        assert_eq!(error, TooExpensive { what: "gas", price: 1_001, bound: 1_000 });
        let error = BOUNDS.first(&Prices { blob_base_fee: 501, ..high }).unwrap_err();
        assert_eq!(error.what, "blob gas");
    }

    /// Pins down that every part of a replacement is at least doubled, also from nothing, and no part is above its
    /// bound.
    #[test]
    fn replacements_double_every_part_until_the_bound() {
        let prices = Prices::default();
        let mut fees = BOUNDS.first(&prices).unwrap();
        let mut replacements = 0;
        let error = loop {
            match BOUNDS.replacement(&prices, &fees) {
                Ok(next) => {
                    assert!(next.max_fee_per_gas >= 2 * fees.max_fee_per_gas);
                    assert!(next.max_priority_fee_per_gas >= 2 * fees.max_priority_fee_per_gas);
                    assert!(next.max_fee_per_blob_gas >= 2 * fees.max_fee_per_blob_gas);
                    assert!(next.max_fee_per_gas > fees.max_fee_per_gas);
                    fees = next;
                    replacements += 1;
                }
                Err(error) => break error,
            }
        };
        assert_eq!((replacements, error.what), (6, "the tip"));
        // Prices that have risen since are followed.
        let risen = Prices { base_fee: 400, priority_fee: 1, blob_base_fee: 200 };
        let cheap =
            Fees { max_fee_per_gas: 2, max_priority_fee_per_gas: 1, max_fee_per_blob_gas: 2 };
        assert_eq!(BOUNDS.replacement(&risen, &cheap).unwrap().max_fee_per_gas, 801);
    }
}
