//! Everything that the prover's process proves: blocks, and the steps of aggregations.

use std::time::Instant;

use sidereal_aggregation::{
    Assignment, AssignmentError, Blocks, CircuitKind, CircuitProof, CircuitProver, ProveError, Step,
};
use sidereal_block_prover::{BlockProof, ProgressSink, Stage, Task};
use sidereal_final_proof::{FinalProver, Parameters};
use sidereal_os_aggregator::{AggregatorInput, Tree, run_aggregator};

use super::Work;
use super::blocks::{BlockProver, StageWatch, figures};
use super::serve::{ProofMaker, Refusal};
use crate::saver::Figures;

/// The provers, each made when it is first needed. Their tables take gigabytes, so only those of the last one are kept:
/// beside those of blocks, a wrap would take more than the 16 GB that it is to fit into.
#[derive(Default)]
pub struct Provers {
    blocks: Option<BlockProver>,
    circuit: Option<CircuitProver>,
    last: Option<FinalProver>,
}

impl ProofMaker for Provers {
    fn make(
        &mut self,
        work: Work,
        inputs: &[Vec<u8>],
        progress: &dyn ProgressSink,
    ) -> Result<(Vec<u8>, Figures), Refusal> {
        let begun = Instant::now();
        let watch = StageWatch::new(progress);
        let (proof, cairo_steps) = match work {
            Work::Block => {
                self.keep_circuit(None);
                self.blocks.get_or_insert_default().prove(one(inputs)?, &watch)?
            }
            Work::Step(Step::Program(blocks)) => {
                self.keep_circuit(None);
                self.program(blocks, inputs, &watch)?
            }
            Work::Step(step) => {
                self.blocks = None;
                (self.step(step, inputs, &watch)?, 0)
            }
        };
        Ok((proof, figures(begun, &watch, cairo_steps)))
    }
}

impl Provers {
    /// Frees the tables of every other circuit, before those of `kind` are made.
    fn keep_circuit(&mut self, kind: Option<CircuitKind>) {
        if self.circuit.as_ref().is_some_and(|prover| Some(prover.kind()) != kind) {
            self.circuit = None;
        }
        if kind != Some(CircuitKind::Last) {
            self.last = None;
        }
    }

    /// The aggregator's Cairo proof over the outputs in the blocks' proofs.
    fn program(
        &mut self,
        blocks: Blocks,
        inputs: &[Vec<u8>],
        progress: &dyn ProgressSink,
    ) -> Result<(Vec<u8>, u64), Refusal> {
        let mut outputs = Vec::with_capacity(inputs.len());
        for input in inputs {
            outputs.push(block_proof(input)?.output);
        }
        let tree = usize::try_from(blocks.count()).ok().and_then(Tree::balanced);
        let tree = tree.ok_or_else(|| Refusal::wrong("too many blocks to be aggregated"))?;
        progress.enter(Stage::OsRun);
        let input = AggregatorInput {
            outputs,
            tree,
            wrap_root: CircuitKind::Wrap.root().0,
            merge_root: CircuitKind::Merge.root().0,
        };
        let run = run_aggregator(&input).map_err(|error| Refusal::permanent(&error))?;
        self.blocks.get_or_insert_default().prove_task(Task::Pie(run.pie), progress)
    }

    /// The proof of a circuit.
    fn step(
        &mut self,
        step: Step,
        inputs: &[Vec<u8>],
        progress: &dyn ProgressSink,
    ) -> Result<Vec<u8>, Refusal> {
        let assigned = |result: Result<Assignment, AssignmentError>| {
            result.map_err(|error| Refusal::permanent(&error))
        };
        progress.enter(Stage::Adapt);
        let assignment = match (step, inputs) {
            (Step::Wrap(_) | Step::WrapProgram(_), [proof]) => {
                assigned(Assignment::wrap(&block_proof(proof)?.cairo))?
            }
            (Step::Merge(_) | Step::Top(_), [left, right]) => {
                assigned(Assignment::merge(&circuit_proof(left)?, &circuit_proof(right)?))?
            }
            (Step::Shrink(_) | Step::Compact(_) | Step::Last(_), [proof]) => {
                assigned(Assignment::of_proof(&circuit_proof(proof)?))?
            }
            _ => return Err(Refusal::wrong("the step takes another number of proofs")),
        };
        if step.circuit() != Some(assignment.kind()) {
            return Err(Refusal::wrong("the step takes proofs of other circuits"));
        }
        let kind = assignment.kind();
        self.keep_circuit(Some(kind));
        if kind == CircuitKind::Last {
            return self.last(&assignment, progress);
        }
        let prover = match self.circuit.take() {
            Some(prover) => prover,
            None => {
                progress.enter(Stage::Precompute);
                CircuitProver::new(kind).map_err(|error| refusal(&error))?
            }
        };
        progress.enter(Stage::Prove);
        let proof =
            self.circuit.insert(prover).prove(&assignment).map_err(|error| refusal(&error))?;
        proof.encode().map_err(|error| Refusal::permanent(&error))
    }

    fn last(
        &mut self,
        assignment: &Assignment,
        progress: &dyn ProgressSink,
    ) -> Result<Vec<u8>, Refusal> {
        let prover = match self.last.take() {
            Some(prover) => prover,
            None => {
                progress.enter(Stage::Precompute);
                let circuit =
                    CircuitKind::Last.preprocess().map_err(|error| Refusal::permanent(&error))?;
                FinalProver::new(circuit, Parameters::ETHEREUM)
                    .map_err(|error| Refusal::permanent(&error))?
            }
        };
        progress.enter(Stage::Prove);
        let (proof, output) = self
            .last
            .insert(prover)
            .prove(assignment.values())
            .map_err(|error| Refusal::retryable(&error))?;
        if output != assignment.output().0 {
            return Err(Refusal::wrong("the last proof says something else than its circuit"));
        }
        Ok(proof.to_calldata())
    }
}

/// Whether another attempt may succeed: not when the circuit itself is another one than is pinned.
fn refusal(error: &ProveError) -> Refusal {
    match error {
        ProveError::Shape(_) | ProveError::Root { .. } | ProveError::Kind { .. } => {
            Refusal::permanent(error)
        }
        ProveError::Stark(_) | ProveError::Panicked(_) | ProveError::Verify(_) => {
            Refusal::retryable(error)
        }
    }
}

fn one(inputs: &[Vec<u8>]) -> Result<&[u8], Refusal> {
    match inputs {
        [input] => Ok(input),
        _ => Err(Refusal::wrong("a block is proven from one witness")),
    }
}

fn block_proof(bytes: &[u8]) -> Result<BlockProof, Refusal> {
    BlockProof::decode(bytes).map_err(|error| Refusal::permanent(&error))
}

fn circuit_proof(bytes: &[u8]) -> Result<CircuitProof, Refusal> {
    CircuitProof::decode(bytes).map_err(|error| Refusal::permanent(&error))
}
