//! Whether a node has the state that was rebuilt: every cell, nonce and class hash, as wallets see them.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use starknet_types_core::felt::Felt;
use tokio::task::JoinSet;

use super::state::{Reached, RebuiltState};
use crate::progress::Progress;
use crate::rpc::Rpc;

/// Values that are read from the file at once.
const BATCH: u32 = 1_000;
/// Requests under way at the same time.
const CONCURRENT: usize = 16;

/// Compares all values with those of the node after the same block. Returns how many there are.
pub async fn compare(state: &RebuiltState, reached: &Reached, rpc: &Rpc) -> anyhow::Result<u64> {
    let number = reached.block_number;
    let block_id = json!({ "block_number": number });
    let block: Value = rpc
        .call("starknet_getBlockWithTxHashes", json!({ "block_id": block_id }))
        .await
        .with_context(|| format!("cannot read block {number}"))?;
    for (what, field, expected) in
        [("hash", "block_hash", reached.block_hash), ("state root", "new_root", reached.root().0)]
    {
        let found: Felt = serde_json::from_value(block[field].clone())
            .with_context(|| format!("the node's block has no {field}"))?;
        if found != expected {
            bail!(
                "the node says that block {number} has the {what} {found:#x}, L1 says {expected:#x}"
            );
        }
    }

    let mut compared = Compared { rpc, block_id, count: 0, progress: Progress::new() };
    let mut last = None;
    loop {
        let cells = state.cells(last, BATCH).await?;
        let Some((address, key, _)) = cells.last() else { break };
        last = Some((*address, *key));
        let question = |(address, key, value): (Felt, Felt, Felt)| {
            let what = format!("cell {key:#x} of contract {address:#x}");
            // As `STORAGE_KEY` of the specification has it: no first digit above 7.
            let key = format!("{key:#065x}");
            let parameters = json!({ "contract_address": address, "key": key });
            (what, "starknet_getStorageAt", parameters, value)
        };
        compared.batch(cells.into_iter().map(question).collect()).await?;
    }
    for (method, name) in
        [("starknet_getNonce", "nonce"), ("starknet_getClassHashAt", "class hash")]
    {
        let mut last = None;
        loop {
            let values = match name {
                "nonce" => state.nonces(last, BATCH).await?,
                _ => state.contracts(last, BATCH).await?,
            };
            let Some((address, _)) = values.last() else { break };
            last = Some(*address);
            let question = |(address, value): (Felt, Felt)| {
                let what = format!("{name} of contract {address:#x}");
                (what, method, json!({ "contract_address": address }), value)
            };
            compared.batch(values.into_iter().map(question).collect()).await?;
        }
    }
    compared.progress.clear()?;
    Ok(compared.count)
}

/// What is asked, the method with its parameters but the block, and the expected answer.
type Question = (String, &'static str, Value, Felt);

struct Compared<'a> {
    rpc: &'a Rpc,
    block_id: Value,
    count: u64,
    progress: Progress,
}

impl Compared<'_> {
    async fn batch(&mut self, questions: Vec<Question>) -> anyhow::Result<()> {
        let mut asked = JoinSet::new();
        for mut question in questions {
            question.2["block_id"] = self.block_id.clone();
            asked.spawn(ask(self.rpc.clone(), question));
            if asked.len() == CONCURRENT {
                self.answer(&mut asked).await?;
            }
        }
        while !asked.is_empty() {
            self.answer(&mut asked).await?;
        }
        self.progress.tell(format_args!("compared {} values with the node", self.count))?;
        Ok(())
    }

    async fn answer(&mut self, asked: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
        if let Some(answer) = asked.join_next().await {
            answer??;
            self.count += 1;
        }
        Ok(())
    }
}

async fn ask(rpc: Rpc, (what, method, params, expected): Question) -> anyhow::Result<()> {
    let found: Felt =
        rpc.call(method, params).await.with_context(|| format!("cannot read the {what}"))?;
    if found != expected {
        bail!("the node's {what} is {found:#x}, and the rebuilt one is {expected:#x}");
    }
    Ok(())
}
