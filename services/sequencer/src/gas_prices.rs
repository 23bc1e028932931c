//! Gas prices of the next block: as configured, or following L1's.
//!
//! ```text
//!  settler ── base fee, tip, blob base fee ──> target: share, bounds, WEI to FRI, L1 gas to L2 gas
//!                                                │
//!  prices of the block before ── at most so much nearer to it ──> prices of the next block
//! ```
//!
//! What a block's prices are besides the target is in the header of the block before. So nothing is remembered: after a
//! restart, or while the settler is away, prices stay what they were. As blocks move them by steps, a transaction that
//! was signed some blocks ago with some headroom is still good.
//!
//! As on Starknet, L1 gas is what L1 charges with the tip, L1 data gas is blob gas, and L2 gas costs 1/40,000 of L1 gas.
//! There is no market for L2 gas, and no oracle: how many STRK an ETH is must be kept current in the configuration.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sidereal_execution::block::BlockEnvironment;
use sidereal_service::config::Problems;
use starknet_api::block::{BlockHeaderWithoutHash, GasPrice, GasPricePerToken};
use tokio::sync::watch;

use crate::mempool::GasPrices;

/// The highest price that can be configured, in WEI; far beyond any that was seen.
const MAX_WEI: u64 = 1_000_000_000_000_000;

/// The `gas_prices` section, each per unit of gas; WEI is 10^-18 ETH and FRI is 10^-18 STRK.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GasPricesConfig {
    /// Whether all blocks have the prices below, or follow L1 from them on: block 0 has them.
    pub source: GasPriceSource,
    /// L1 gas, in WEI.
    pub l1_gas_wei: u64,
    /// L1 gas, in FRI.
    pub l1_gas_fri: u64,
    /// L1 data (blob) gas, in WEI.
    pub l1_data_gas_wei: u64,
    /// L1 data (blob) gas, in FRI.
    pub l1_data_gas_fri: u64,
    /// L2 (Sierra) gas, in WEI.
    pub l2_gas_wei: u64,
    /// L2 (Sierra) gas, in FRI.
    pub l2_gas_fri: u64,
    /// How L1 is followed.
    pub from_l1: FollowL1Config,
}

impl Default for GasPricesConfig {
    /// L2 gas costs 1/40,000 of L1 gas, as in Starknet's versioned constants; one ETH is 2,000 STRK.
    fn default() -> Self {
        Self {
            source: GasPriceSource::Fixed,
            l1_gas_wei: 20_000_000_000,
            l1_gas_fri: 40_000_000_000_000,
            l1_data_gas_wei: 100_000,
            l1_data_gas_fri: 200_000_000,
            l2_gas_wei: 500_000,
            l2_gas_fri: 1_000_000_000,
            from_l1: FollowL1Config::default(),
        }
    }
}

/// Where prices come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GasPriceSource {
    /// The configuration.
    #[default]
    Fixed,
    /// L1, by way of the settler.
    L1,
}

/// The `gas_prices.from_l1` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FollowL1Config {
    /// How many STRK an ETH is. Nobody else says so: keep it current.
    pub strk_per_eth: u64,
    /// The share of L1's price of gas that is charged.
    pub l1_gas_percent: u64,
    /// The least that L1 gas costs, in WEI.
    pub min_l1_gas_wei: u64,
    /// The most that L1 gas costs, in WEI.
    pub max_l1_gas_wei: u64,
    /// The share of L1's price of blob gas that is charged.
    pub l1_data_gas_percent: u64,
    /// The least that L1 data gas costs, in WEI.
    pub min_l1_data_gas_wei: u64,
    /// The most that L1 data gas costs, in WEI.
    pub max_l1_data_gas_wei: u64,
    /// So many units of L2 gas cost as much as one of L1 gas; 0: the price of L2 gas stays what is configured.
    pub l2_gas_per_l1_gas: u64,
    /// The most by which a price differs from that of the block before, in thousandths; a price of few units moves by one.
    pub max_change_permille: u64,
}

impl Default for FollowL1Config {
    /// A block moves prices no more than a block of L1 moves its own.
    fn default() -> Self {
        Self {
            strk_per_eth: 2_000,
            l1_gas_percent: 100,
            min_l1_gas_wei: 100_000_000,
            max_l1_gas_wei: 1_000_000_000_000,
            l1_data_gas_percent: 100,
            min_l1_data_gas_wei: 1,
            max_l1_data_gas_wei: 1_000_000_000_000,
            l2_gas_per_l1_gas: 40_000,
            max_change_permille: 125,
        }
    }
}

impl GasPricesConfig {
    /// The configured prices.
    pub fn prices(&self) -> BlockGasPrices {
        let price = |wei: u64, fri: u64| GasPricePerToken {
            price_in_wei: GasPrice(wei.into()),
            price_in_fri: GasPrice(fri.into()),
        };
        BlockGasPrices {
            l1_gas: price(self.l1_gas_wei, self.l1_gas_fri),
            l1_data_gas: price(self.l1_data_gas_wei, self.l1_data_gas_fri),
            l2_gas: price(self.l2_gas_wei, self.l2_gas_fri),
        }
    }

    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        for (key, value) in [
            ("l1_gas_wei", self.l1_gas_wei),
            ("l1_gas_fri", self.l1_gas_fri),
            ("l1_data_gas_wei", self.l1_data_gas_wei),
            ("l1_data_gas_fri", self.l1_data_gas_fri),
            ("l2_gas_wei", self.l2_gas_wei),
            ("l2_gas_fri", self.l2_gas_fri),
        ] {
            problems.in_range(section, key, value, 1..=u64::MAX);
        }
        let section = format!("{section}.from_l1");
        let follow = &self.from_l1;
        for (key, value, range) in [
            ("strk_per_eth", follow.strk_per_eth, 1..=1_000_000_000),
            ("l1_gas_percent", follow.l1_gas_percent, 1..=10_000),
            ("min_l1_gas_wei", follow.min_l1_gas_wei, 1..=MAX_WEI),
            ("max_l1_gas_wei", follow.max_l1_gas_wei, follow.min_l1_gas_wei..=MAX_WEI),
            ("l1_data_gas_percent", follow.l1_data_gas_percent, 1..=10_000),
            ("min_l1_data_gas_wei", follow.min_l1_data_gas_wei, 1..=MAX_WEI),
            (
                "max_l1_data_gas_wei",
                follow.max_l1_data_gas_wei,
                follow.min_l1_data_gas_wei..=MAX_WEI,
            ),
            ("l2_gas_per_l1_gas", follow.l2_gas_per_l1_gas, 0..=1_000_000_000),
            ("max_change_permille", follow.max_change_permille, 1..=1_000),
        ] {
            problems.in_range(&section, key, value, range);
        }
    }
}

/// The three prices of a block. None is zero in a block that was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockGasPrices {
    /// Per unit of L1 gas.
    pub l1_gas: GasPricePerToken,
    /// Per unit of L1 data gas.
    pub l1_data_gas: GasPricePerToken,
    /// Per unit of L2 gas.
    pub l2_gas: GasPricePerToken,
}

impl BlockGasPrices {
    /// What transactions pay.
    pub fn in_fri(&self) -> GasPrices {
        GasPrices {
            l1_gas: self.l1_gas.price_in_fri.0,
            l1_data_gas: self.l1_data_gas.price_in_fri.0,
            l2_gas: self.l2_gas.price_in_fri.0,
        }
    }
}

impl From<&BlockEnvironment> for BlockGasPrices {
    fn from(environment: &BlockEnvironment) -> Self {
        Self {
            l1_gas: environment.l1_gas_price,
            l1_data_gas: environment.l1_data_gas_price,
            l2_gas: environment.l2_gas_price,
        }
    }
}

impl From<&BlockHeaderWithoutHash> for BlockGasPrices {
    fn from(header: &BlockHeaderWithoutHash) -> Self {
        Self {
            l1_gas: header.l1_gas_price,
            l1_data_gas: header.l1_data_gas_price,
            l2_gas: header.l2_gas_price,
        }
    }
}

/// What L1 charges, in WEI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Prices {
    /// For a unit of gas, the tip included.
    pub gas_wei: u128,
    /// For a unit of blob gas.
    pub blob_gas_wei: u128,
}

/// Says what the next block's prices are. Clones are the same.
#[derive(Clone, Debug)]
pub struct GasPricer {
    config: Arc<GasPricesConfig>,
    l1: watch::Sender<Option<L1Prices>>,
}

impl GasPricer {
    /// By this configuration; L1's prices are not known yet.
    pub fn new(config: &GasPricesConfig) -> Self {
        Self { config: Arc::new(config.clone()), l1: watch::Sender::new(None) }
    }

    /// Notes what L1 charges now.
    pub fn observe(&self, l1: L1Prices) {
        self.l1.send_replace(Some(l1));
    }

    /// What L1 charges now is not known: prices stay what they are.
    pub fn forget(&self) {
        self.l1.send_replace(None);
    }

    /// Follows the word on what L1 charges, from now on.
    pub fn watch(&self) -> watch::Receiver<Option<L1Prices>> {
        self.l1.subscribe()
    }

    /// The prices of block 0.
    pub fn first(&self) -> BlockGasPrices {
        self.config.prices()
    }

    /// The prices of the block after one with these.
    pub fn next(&self, before: &BlockGasPrices) -> BlockGasPrices {
        match self.config.source {
            GasPriceSource::Fixed => self.config.prices(),
            GasPriceSource::L1 => match *self.l1.borrow() {
                Some(l1) => self.follow(before, &l1),
                None => *before,
            },
        }
    }

    fn follow(&self, before: &BlockGasPrices, l1: &L1Prices) -> BlockGasPrices {
        let GasPricesConfig { l2_gas_wei, l2_gas_fri, from_l1: config, .. } = &*self.config;
        let charged = |wei: u128, percent: u64, min: u64, max: u64| {
            let share = wei.saturating_mul(percent.into()) / 100;
            share.max(min.into()).min(max.into())
        };
        let in_fri = |wei: u128| wei.saturating_mul(config.strk_per_eth.into());
        let l1_gas = charged(
            l1.gas_wei,
            config.l1_gas_percent,
            config.min_l1_gas_wei,
            config.max_l1_gas_wei,
        );
        let l1_data_gas = charged(
            l1.blob_gas_wei,
            config.l1_data_gas_percent,
            config.min_l1_data_gas_wei,
            config.max_l1_data_gas_wei,
        );
        let (l2_wei, l2_fri) = match config.l2_gas_per_l1_gas {
            0 => ((*l2_gas_wei).into(), (*l2_gas_fri).into()),
            ratio => (l1_gas.div_ceil(ratio.into()), in_fri(l1_gas).div_ceil(ratio.into())),
        };
        let nearer = |before: GasPricePerToken, wei: u128, fri: u128| GasPricePerToken {
            price_in_wei: step(before.price_in_wei, wei, config.max_change_permille),
            price_in_fri: step(before.price_in_fri, fri, config.max_change_permille),
        };
        BlockGasPrices {
            l1_gas: nearer(before.l1_gas, l1_gas, in_fri(l1_gas)),
            l1_data_gas: nearer(before.l1_data_gas, l1_data_gas, in_fri(l1_data_gas)),
            l2_gas: nearer(before.l2_gas, l2_wei, l2_fri),
        }
    }
}

/// From a price as near to another as one block may come, and never to zero.
fn step(GasPrice(before): GasPrice, target: u128, max_change_permille: u64) -> GasPrice {
    let most = (before.saturating_mul(max_change_permille.into()) / 1_000).max(1);
    let lowest = before.saturating_sub(most).max(1);
    GasPrice(target.max(lowest).min(before.saturating_add(most)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn following() -> GasPricesConfig {
        GasPricesConfig { source: GasPriceSource::L1, ..GasPricesConfig::default() }
    }

    fn settled(pricer: &GasPricer) -> BlockGasPrices {
        let mut prices = pricer.first();
        for _ in 0..2_000 {
            prices = pricer.next(&prices);
        }
        prices
    }

    fn all(prices: &BlockGasPrices) -> [u128; 6] {
        [prices.l1_gas, prices.l1_data_gas, prices.l2_gas]
            .map(|price| [price.price_in_wei.0, price.price_in_fri.0])
            .concat()
            .try_into()
            .unwrap()
    }

    const GWEI: u128 = 1_000_000_000;

    /// Pins down what L1's prices come to: in both units, for all three kinds of gas.
    #[test]
    fn prices_come_to_those_of_l1() {
        let pricer = GasPricer::new(&following());
        pricer.observe(L1Prices { gas_wei: 3 * GWEI, blob_gas_wei: 77 });
        let expected = [3 * GWEI, 6_000 * GWEI, 77, 154_000, 75_000, 150_000_000];
        assert_eq!(all(&settled(&pricer)), expected);
        // Rounded up, as Starknet rounds: what is not free on L1 is not free here.
        pricer.observe(L1Prices { gas_wei: 3 * GWEI + 1, blob_gas_wei: 77 });
        assert_eq!(settled(&pricer).l2_gas.price_in_wei, GasPrice(75_001));

        let mut config = following();
        config.from_l1.l1_gas_percent = 150;
        config.from_l1.l1_data_gas_percent = 200;
        config.from_l1.strk_per_eth = 10;
        config.from_l1.l2_gas_per_l1_gas = 0;
        let pricer = GasPricer::new(&config);
        pricer.observe(L1Prices { gas_wei: 2 * GWEI, blob_gas_wei: 77 });
        let expected = [3 * GWEI, 30 * GWEI, 154, 1_540, 500_000, 1_000_000_000];
        assert_eq!(all(&settled(&pricer)), expected);
    }

    /// Pins down that L1 cannot drive prices out of the configured bounds.
    #[test]
    fn prices_stay_within_their_bounds() {
        let pricer = GasPricer::new(&following());
        pricer.observe(L1Prices { gas_wei: 0, blob_gas_wei: 0 });
        let low = [GWEI / 10, 200 * GWEI, 1, 2_000, 2_500, 5_000_000];
        assert_eq!(all(&settled(&pricer)), low);
        pricer.observe(L1Prices { gas_wei: u128::MAX, blob_gas_wei: u128::MAX });
        let (high, ratio) = (1_000 * GWEI, 40_000);
        let high = [high, 2_000 * high, high, 2_000 * high, high / ratio, 2_000 * high / ratio];
        assert_eq!(all(&settled(&pricer)), high);
    }

    /// Pins down that fixed prices do not follow, and that those that follow hold while nothing is known of L1.
    #[test]
    fn prices_hold_without_word_from_l1() {
        let fixed = GasPricer::new(&GasPricesConfig::default());
        fixed.observe(L1Prices { gas_wei: 1, blob_gas_wei: 1 });
        let mut before = fixed.first();
        before.l1_gas.price_in_wei = GasPrice(5);
        assert_eq!(fixed.next(&before), fixed.first());
        assert_eq!(GasPricer::new(&following()).next(&before), before);
    }

    proptest! {
        /// Pins down that no price of any block differs by more than the bound from the one before, none is zero, and
        /// all come nearer to where they go until they are there.
        #[test]
        fn a_block_moves_prices_by_a_bounded_step(
            before in 1_u128..u128::MAX,
            target in 1_u128..u128::MAX,
            permille in 1_u64..=1_000,
        ) {
            let GasPrice(after) = step(GasPrice(before), target, permille);
            let most = (before.saturating_mul(permille.into()) / 1_000).max(1);
            prop_assert!(after > 0);
            prop_assert!(after.abs_diff(before) <= most);
            if before == target {
                prop_assert_eq!(after, target);
            } else {
                prop_assert!(after.abs_diff(target) < before.abs_diff(target));
            }
        }
    }
}
