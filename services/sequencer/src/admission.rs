//! The way of a transaction into the mempool: checked, validated, durable, acknowledged. In that order.
//!
//! ```text
//!  submit ─ form, size, fees ─ nonce, room ─ executor: account's validation ─ a declare's class is stored ─┐
//!                                                                                                          v
//!  hash <── confirm in the pool <── one database transaction <── writer: as many submissions as wait
//! ```
//!
//! The writer commits what has come in while the last commit ran, so the number of database transactions does not grow
//! with the rate of submissions.

mod checks;
mod refusal;
mod validation;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use sidereal_chain_store::ChainStore;
use sidereal_execution::outcome::RejectionReason;
use sidereal_execution::transaction::BlockTransaction;
use sidereal_object_store::{ObjectKey, ObjectStore};
use sidereal_proto::transaction::ReceivedTransaction;
use sidereal_proto::types::DeclaredClass;
use sidereal_service::Shutdown;
use starknet_api::core::ContractAddress;
use starknet_api::transaction::{Transaction, TransactionHash};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

pub use checks::candidate;
pub use refusal::{SubmitRefusal, removal};
pub use validation::Validator;

use crate::clock::now_ms;
use crate::config::MempoolConfig;
use crate::mempool::{Candidate, Refusal};
use crate::next_block::NextBlock;
use crate::nonce::chain_nonce;
use crate::shared::Shared;
use writer::{Submission, Writer};

/// Submissions that bring a class, at the same time: each may have the bytes of a whole message.
const CLASSES_IN_HAND: usize = 16;

/// See the [module](self). Clones are the same.
#[derive(Clone)]
pub struct Admission {
    shared: Shared,
    store: ChainStore,
    objects: Arc<dyn ObjectStore>,
    validator: Option<Validator>,
    next: NextBlock,
    max_transaction_bytes: u64,
    in_hand: Arc<Semaphore>,
    classes_in_hand: Arc<Semaphore>,
    /// One class at a time is stored, from the last check of its declare until that is in the pool.
    storing: Arc<Mutex<()>>,
    queue: mpsc::Sender<Submission>,
}

impl Admission {
    /// Starts the writer, which ends after shutdown when what it holds is durable.
    pub fn start(
        config: &MempoolConfig,
        next: NextBlock,
        shared: Shared,
        store: ChainStore,
        objects: Arc<dyn ObjectStore>,
        validator: Option<Validator>,
        shutdown: &Shutdown,
    ) -> (Self, JoinHandle<()>) {
        let bound = usize::try_from(config.max_submissions).unwrap_or(Semaphore::MAX_PERMITS);
        let bound = bound.clamp(1, Semaphore::MAX_PERMITS);
        let (queue, submissions) = mpsc::channel(bound);
        let max_batch = usize::try_from(config.max_commit_batch).unwrap_or(usize::MAX);
        let writer = Writer::new(shared.clone(), store.clone(), submissions, max_batch);
        let stop = shutdown.clone();
        let writing = shutdown.spawn("mempool writer", async move { writer.run(stop).await });
        let admission = Self {
            shared,
            store,
            objects,
            validator,
            next,
            max_transaction_bytes: config.max_transaction_bytes,
            in_hand: Arc::new(Semaphore::new(bound)),
            classes_in_hand: Arc::new(Semaphore::new(CLASSES_IN_HAND)),
            storing: Arc::default(),
            queue,
        };
        (admission, writing)
    }

    /// Takes a transaction in. When this returns its hash, the transaction is durable, and so is the class it declares:
    /// `class`, or what is in the object store.
    pub async fn submit(
        &self,
        received: ReceivedTransaction,
        class: Option<DeclaredClass>,
    ) -> Result<TransactionHash, SubmitRefusal> {
        let permit = |of: &Arc<Semaphore>| {
            Arc::clone(of).try_acquire_owned().map_err(|_| SubmitRefusal::Overloaded)
        };
        let _permit = permit(&self.in_hand)?;
        let _class_permit = class.as_ref().map(|_| permit(&self.classes_in_hand)).transpose()?;
        let transaction = BlockTransaction::new(received.transaction, self.next.chain_id())
            .map_err(SubmitRefusal::Malformed)?;
        let hash = transaction.hash;
        if let Some(claimed) = received.claimed_hash
            && claimed != hash
        {
            return Err(SubmitRefusal::WrongHash { claimed, computed: hash });
        }
        let candidate = checks::candidate(transaction, now_ms())?;
        checks::size(&candidate, self.max_transaction_bytes)?;
        checks::form(&candidate)?;
        checks::prices(&candidate, &self.next.prices().in_fri())?;

        let sender = candidate.sender;
        let due = self.due_nonce(&sender).await?;
        self.shared.pool().check(&candidate, due)?;
        self.check_class(&candidate, class.as_ref()).await?;
        self.validate(&candidate, due, class.as_ref()).await?;
        let Some(class) = class else { return self.enqueue(candidate, due).await };
        let _storing = self.storing.lock().await;
        {
            // Others may have come in since. What would have to displace another one pays for no class.
            let pool = self.shared.pool();
            pool.check(&candidate, due)?;
            if !pool.has_room(&candidate) {
                return Err(SubmitRefusal::Pool(Refusal::Full));
            }
        }
        self.store_class(&candidate, class).await?;
        self.enqueue(candidate, due).await
    }

    /// Into the pool, and durable.
    async fn enqueue(
        &self,
        candidate: Candidate<BlockTransaction>,
        due: u64,
    ) -> Result<TransactionHash, SubmitRefusal> {
        let (done, durable) = oneshot::channel();
        let submission = Submission { candidate, due, done };
        self.queue.try_send(submission).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitRefusal::Overloaded,
            mpsc::error::TrySendError::Closed(_) => SubmitRefusal::Stopping,
        })?;
        durable.await.unwrap_or(Err(SubmitRefusal::Stopping))
    }

    /// The nonce that is due: what the open block executed counts.
    pub async fn due_nonce(&self, sender: &ContractAddress) -> Result<u64, SubmitRefusal> {
        let known = self.shared.pool().executed_nonce(sender);
        match known {
            Some(nonce) => Ok(nonce),
            None => chain_nonce(&self.store, sender, self.shared.head().number)
                .await
                .map_err(SubmitRefusal::Store),
        }
    }

    /// A declared class must be new, and its code here or in the object store.
    async fn check_class(
        &self,
        candidate: &Candidate<BlockTransaction>,
        class: Option<&DeclaredClass>,
    ) -> Result<(), SubmitRefusal> {
        let Transaction::Declare(declare) = &candidate.payload.transaction else {
            let field = "classes of transactions that declare none";
            return class.map_or(Ok(()), |_| Err(SubmitRefusal::Unsupported { field }));
        };
        let class_hash = declare.class_hash();
        let declared =
            self.store.declared_class(&class_hash).await.map_err(SubmitRefusal::Store)?;
        if declared.is_some() {
            return Err(SubmitRefusal::ClassAlreadyDeclared { class_hash });
        }
        if class.is_some() {
            return Ok(());
        }
        for key in [ObjectKey::sierra_class(class_hash.0), ObjectKey::casm_class(class_hash.0)] {
            if !self.objects.exists(&key).await.map_err(SubmitRefusal::Objects)? {
                return Err(SubmitRefusal::ClassNotStored { class_hash });
            }
        }
        Ok(())
    }

    /// After everything that is checked, so that a sender cannot fill the store with what it does not pay for. What is
    /// there stays: a waiting declare may be of it.
    async fn store_class(
        &self,
        candidate: &Candidate<BlockTransaction>,
        class: DeclaredClass,
    ) -> Result<(), SubmitRefusal> {
        let Transaction::Declare(declare) = &candidate.payload.transaction else { return Ok(()) };
        let class_hash = declare.class_hash();
        let casm = ObjectKey::casm_class(class_hash.0);
        if self.objects.exists(&casm).await.map_err(SubmitRefusal::Objects)? {
            return Ok(());
        }
        // The CASM goes last: a class whose CASM is there is there as a whole.
        for (key, json) in [
            (ObjectKey::sierra_class(class_hash.0), class.sierra_json_zstd),
            (casm, class.casm_json_zstd),
        ] {
            self.objects.put(&key, Bytes::from(json)).await.map_err(SubmitRefusal::Objects)?;
        }
        Ok(())
    }

    async fn validate(
        &self,
        candidate: &Candidate<BlockTransaction>,
        due: u64,
        class: Option<&DeclaredClass>,
    ) -> Result<(), SubmitRefusal> {
        let Some(validator) = &self.validator else { return Ok(()) };
        let transaction = &candidate.payload;
        if self.waits_for_its_account(candidate, due).await? {
            let open = self.shared.open().state();
            return match open.filter(|open| open.deploys(&candidate.sender)) {
                Some(open) => validator.validate_open(&open, transaction, class).await,
                None => Ok(()),
            };
        }
        // The state of the open blocks goes along with a query over it, so it is asked for its word only where it can
        // have another one than the closed state: about what that refuses, from an account that they changed, or for its
        // prices, which are those of the last closed block there.
        match validator.validate(self.shared.head().number, transaction, class).await {
            Err(SubmitRefusal::Invalid(rejection)) => {
                let changed = || {
                    let open = self.shared.open().state();
                    open.is_some_and(|open| open.concerns(&candidate.sender))
                };
                let underpriced = rejection.reason == RejectionReason::InsufficientResourceBounds;
                if !underpriced && !changed() {
                    return Err(SubmitRefusal::Invalid(rejection));
                }
                let state = self.next.state().await.map_err(SubmitRefusal::NextBlock)?;
                validator.validate_open(&state, transaction, class).await
            }
            validated => validated,
        }
    }

    /// A wallet deploys its account and sends the first transaction at once. The account's code cannot be asked before
    /// the deployment is executed, so this one transaction goes without; see `starknet_addInvokeTransaction`.
    async fn waits_for_its_account(
        &self,
        candidate: &Candidate<BlockTransaction>,
        due: u64,
    ) -> Result<bool, SubmitRefusal> {
        let invoke = matches!(candidate.payload.transaction, Transaction::Invoke(_));
        if !invoke || candidate.nonce != 1 || due > 1 {
            return Ok(false);
        }
        let deploys = self.shared.pool().at_nonce(&candidate.sender, 0).is_some_and(|first| {
            matches!(first.payload.transaction, Transaction::DeployAccount(_))
        });
        if !deploys && due == 0 {
            return Ok(false);
        }
        let head = self.shared.head().number;
        let class = self.store.class_hash_at(&candidate.sender, head).await;
        Ok(class.map_err(SubmitRefusal::Store)?.is_none())
    }
}
