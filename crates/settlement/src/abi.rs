//! Bindings of the contracts. `abi/` holds the part `abi` of Forge's artifacts.

// What the macro writes is not held to our lints.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
mod generated {
    alloy::sol!(
        #[sol(all_derives)]
        RollupCore,
        "abi/RollupCore.json"
    );
    alloy::sol!(
        #[sol(all_derives)]
        CircuitVerifier,
        "abi/CircuitVerifier.json"
    );
}

pub use generated::{CircuitVerifier, RollupCore};

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// Pins down that the bindings are those of the contracts that are deployed.
    #[test]
    fn the_abi_is_that_of_the_compiled_contracts() {
        let contracts = [
            (
                "RollupCore",
                include_str!("../abi/RollupCore.json"),
                include_str!(concat!(env!("OUT_DIR"), "/RollupCore.abi.json")),
            ),
            (
                "CircuitVerifier",
                include_str!("../abi/CircuitVerifier.json"),
                include_str!(concat!(env!("OUT_DIR"), "/CircuitVerifier.abi.json")),
            ),
        ];
        for (contract, checked_in, compiled) in contracts {
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert!(
                parse(checked_in) == parse(compiled),
                "abi/{contract}.json is old; write Forge's there: jq .abi $FOUNDRY_OUT/{contract}.sol/{contract}.json"
            );
        }
    }
}
