//! Fee estimates and messages from L1.

use serde::{Deserialize, Deserializer, Serialize};
use starknet_types_core::felt::Felt;

use super::number::{AddressHex, FeltHex, U64Hex, U128Hex};

/// `FEE_ESTIMATE`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FeeEstimate {
    pub l1_gas_consumed: U64Hex,
    pub l1_gas_price: U128Hex,
    pub l2_gas_consumed: U64Hex,
    pub l2_gas_price: U128Hex,
    pub l1_data_gas_consumed: U64Hex,
    pub l1_data_gas_price: U128Hex,
    pub overall_fee: U128Hex,
    pub unit: PriceUnit,
}

/// `PRICE_UNIT`. Version 3 transactions pay in FRI, messages from L1 in WEI.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PriceUnit {
    Fri,
    Wei,
}

/// `FEE_PAYMENT`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FeePayment {
    pub amount: FeltHex,
    pub unit: PriceUnit,
}

/// `MSG_FROM_L1`.
#[derive(Clone, Debug, Deserialize)]
pub struct MessageFromL1 {
    pub from_address: EthereumAddress,
    pub to_address: AddressHex,
    pub entry_point_selector: FeltHex,
    pub payload: Vec<FeltHex>,
}

/// `ETH_ADDRESS`: exactly 40 digits.
#[derive(Clone, Copy, Debug)]
pub struct EthereumAddress(pub Felt);

impl<'de> Deserialize<'de> for EthereumAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 42 {
            return Err(serde::de::Error::custom("an Ethereum address is 0x and 40 digits"));
        }
        super::number::parse_felt(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// `FUNCTION_CALL`.
#[derive(Clone, Debug, Deserialize)]
pub struct FunctionCall {
    pub contract_address: AddressHex,
    pub entry_point_selector: FeltHex,
    pub calldata: Vec<FeltHex>,
}

/// `SIMULATION_FLAG_FOR_ESTIMATE_FEE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum EstimateFlag {
    #[serde(rename = "SKIP_VALIDATE")]
    SkipValidate,
}

/// `SIMULATION_FLAG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SimulationFlag {
    #[serde(rename = "SKIP_VALIDATE")]
    SkipValidate,
    #[serde(rename = "SKIP_FEE_CHARGE")]
    SkipFeeCharge,
    #[serde(rename = "RETURN_INITIAL_READS")]
    ReturnInitialReads,
}

/// `TRACE_FLAG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TraceFlag {
    #[serde(rename = "RETURN_INITIAL_READS")]
    ReturnInitialReads,
}
