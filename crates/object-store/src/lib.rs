//! Witnesses, proofs and classes: file system or S3.
