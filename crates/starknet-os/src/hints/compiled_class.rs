//! Loading the classes that the block runs, and checking their hashes afterwards
//! (`contract_class/compiled_class.cairo`).
//!
//! The OS checks a class only where it was run: the bytecode is cut into segments (functions, roughly), and
//! for a segment that no step touched the prover gives the hash instead of the bytecode. Its first felt is
//! then overwritten with an invalid opcode.

use std::rc::Rc;

use cairo_lang_starknet_classes::NestedIntList;
use cairo_lang_starknet_classes::casm_contract_class::{CasmContractClass, CasmContractEntryPoint};
use cairo_vm::types::relocatable::{MaybeRelocatable, Relocatable};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash};

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::{
    compiled_class, compiled_class_entry_point, compiled_class_fact, constants,
};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("719710d0d1162935", "load_classes", load_classes),
    Hint::new("9d8b9618bca2a041", "no_deprecated_classes", no_deprecated_classes),
    Hint::new("9034fde46913803a", "cut_bytecode", cut_bytecode),
    Hint::new("462e6c5dbb2c96d0", "enter_class", enter_class),
    Hint::new("6093d6673e08aa61", "leave_class", leave_class),
    Hint::new("8297c670a2c54088", "is_leaf", is_leaf),
    Hint::new("675d62ccce72cb87", "iterate_segments", iterate_segments),
    Hint::new("25e023684b79efa0", "check_no_segment_left", check_no_segment_left),
    Hint::new("26576838c9f33ea5", "next_segment", next_segment),
    Hint::new("d7e94f07ab10ebb4", "forget_segment", forget_segment),
    Hint::new("53c401b33bfe16ee", "segment_hash", segment_hash),
];

/// Scope variable: the node at hand, `Rc<BytecodeNode>`.
const NODE: &str = "bytecode_segment_structure";
/// Scope variable: the segments of the node at hand that are left, `std::vec::IntoIter<Rc<BytecodeNode>>`.
const SEGMENTS: &str = "bytecode_segments";
/// `ret`: every class ends with it and a pointer to the costs of the builtins.
const RET: Felt = Felt::from_hex_unchecked("0x208b7fff7fff7ffe");

/// A segment of bytecode: felts, or segments.
#[derive(Debug)]
pub(crate) enum BytecodeNode {
    Leaf(Vec<Felt>),
    Inner(Vec<Rc<BytecodeNode>>),
}

impl BytecodeNode {
    /// Cuts `bytecode` as `lengths` says; `None` when they do not add up.
    fn cut(lengths: &NestedIntList, bytecode: &mut &[Felt]) -> Option<Self> {
        match lengths {
            NestedIntList::Leaf(length) => {
                let (segment, rest) = bytecode.split_at_checked(*length)?;
                *bytecode = rest;
                Some(Self::Leaf(segment.to_vec()))
            }
            NestedIntList::Node(children) => {
                let children: Option<Vec<_>> =
                    children.iter().map(|child| Self::cut(child, bytecode).map(Rc::new)).collect();
                Some(Self::Inner(children?))
            }
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Leaf(felts) => felts.len(),
            Self::Inner(children) => children.iter().map(|child| child.length()).sum(),
        }
    }

    /// The Poseidon hash of a leaf's felts; `1 + poseidon(length, hash, ...)` of an inner node.
    fn hash(&self) -> Felt {
        match self {
            Self::Leaf(felts) => Poseidon::hash_array(felts),
            Self::Inner(children) => {
                let words: Vec<Felt> = children
                    .iter()
                    .flat_map(|child| [Felt::from(child.length()), child.hash()])
                    .collect();
                Poseidon::hash_array(&words) + Felt::ONE
            }
        }
    }
}

/// Puts every class that the block runs into memory, with its hints.
fn load_classes(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let classes = &ctx.os.input.compiled_classes;
    let builtin_costs = ctx.ptr("builtin_costs")?;
    let mut fact = ctx.vm.add_memory_segment();
    ctx.set("n_compiled_class_facts", Felt::from(classes.len()))?;
    ctx.set("compiled_class_facts", fact)?;

    for (hash, class) in classes {
        let (loaded, bytecode) = load_class(ctx, class, builtin_costs)?;
        ctx.os.class_segments.insert(bytecode.segment_index, hash.0);
        for (offset, hints) in &class.hints {
            let hints =
                hints.iter().map(|hint| Box::new(hint.clone()) as Box<dyn std::any::Any>).collect();
            ctx.extension.insert((bytecode + *offset)?, hints);
        }
        ctx.vm.load_data(fact, &[hash.0.into(), loaded.into()])?;
        fact = (fact + compiled_class_fact::SIZE)?;
    }
    Ok(())
}

/// Writes one `CompiledClass`; returns where it and its bytecode are.
fn load_class(
    ctx: &mut HintContext<'_, '_>,
    class: &CasmContractClass,
    builtin_costs: Relocatable,
) -> Result<(Relocatable, Relocatable), HintFailure> {
    let entry_points = &class.entry_points_by_type;
    let external = load_entry_points(ctx, &entry_points.external)?;
    let l1_handlers = load_entry_points(ctx, &entry_points.l1_handler)?;
    let constructors = load_entry_points(ctx, &entry_points.constructor)?;

    let bytecode = ctx.vm.add_memory_segment();
    let mut words: Vec<MaybeRelocatable> =
        class.bytecode.iter().map(|word| Felt::from(&word.value).into()).collect();
    words.push(RET.into());
    words.push(builtin_costs.into());
    ctx.vm.load_data(bytecode, &words)?;

    let number = |length: usize| MaybeRelocatable::from(Felt::from(length));
    let mut fields = vec![MaybeRelocatable::from(Felt::ZERO); compiled_class::SIZE];
    fields[compiled_class::COMPILED_CLASS_VERSION] =
        Felt::from_bytes_be_slice(constants::COMPILED_CLASS_VERSION).into();
    fields[compiled_class::N_EXTERNAL_FUNCTIONS] = number(entry_points.external.len());
    fields[compiled_class::EXTERNAL_FUNCTIONS] = external.into();
    fields[compiled_class::N_L1_HANDLERS] = number(entry_points.l1_handler.len());
    fields[compiled_class::L1_HANDLERS] = l1_handlers.into();
    fields[compiled_class::N_CONSTRUCTORS] = number(entry_points.constructor.len());
    fields[compiled_class::CONSTRUCTORS] = constructors.into();
    fields[compiled_class::BYTECODE_LENGTH] = number(class.bytecode.len());
    fields[compiled_class::BYTECODE_PTR] = bytecode.into();
    let address = ctx.vm.add_memory_segment();
    ctx.vm.load_data(address, &fields)?;
    Ok((address, bytecode))
}

fn load_entry_points(
    ctx: &mut HintContext<'_, '_>,
    entry_points: &[CasmContractEntryPoint],
) -> Result<Relocatable, HintFailure> {
    let table = ctx.vm.add_memory_segment();
    let mut next = table;
    for entry_point in entry_points {
        let builtins: Vec<Felt> = entry_point
            .builtins
            .iter()
            .map(|name| Felt::from_bytes_be_slice(name.as_bytes()))
            .collect();
        let builtins = (builtins.len(), ctx.new_segment(&builtins)?);
        let mut fields = vec![MaybeRelocatable::from(Felt::ZERO); compiled_class_entry_point::SIZE];
        fields[compiled_class_entry_point::SELECTOR] = Felt::from(&entry_point.selector).into();
        fields[compiled_class_entry_point::OFFSET] = Felt::from(entry_point.offset).into();
        fields[compiled_class_entry_point::N_BUILTINS] = Felt::from(builtins.0).into();
        fields[compiled_class_entry_point::BUILTIN_LIST] = builtins.1.into();
        next = ctx.vm.load_data(next, &fields)?;
    }
    Ok(table)
}

/// Classes of Cairo 0 are not supported: there are none.
fn no_deprecated_classes(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let facts = ctx.vm.add_memory_segment();
    ctx.set("compiled_class_facts", facts)?;
    ctx.set("n_compiled_class_facts", Felt::ZERO)?;
    ctx.enter_scope([])
}

/// Cuts the bytecode of every class into its segments.
fn cut_bytecode(ctx: &mut HintContext<'_, '_>) -> HintResult {
    for (hash, class) in &ctx.os.input.compiled_classes {
        let bytecode: Vec<Felt> =
            class.bytecode.iter().map(|word| Felt::from(&word.value)).collect();
        let mut rest = &bytecode[..];
        let node = BytecodeNode::cut(&class.get_bytecode_segment_lengths(), &mut rest)
            .filter(|_| rest.is_empty())
            .ok_or(HintFailure::BytecodeSegments { class_hash: hash.0 })?;
        ctx.os.bytecode_nodes.insert(hash.0, Rc::new(node));
    }
    Ok(())
}

/// Opens the scope of one class.
fn enter_class(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let hash = ctx.field("compiled_class_fact", compiled_class_fact::HASH)?;
    let node = ctx.os.bytecode_nodes.get(&hash).cloned();
    let node =
        node.ok_or(HintFailure::Missing { what: "bytecode segments of class", key: hash })?;
    ctx.enter_scope([(NODE, Box::new(node))])
}

/// Closes it, after checking that the computed hash is the one that the class was found by.
fn leave_class(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.scopes.exit_scope().map_err(cairo_vm::vm::errors::hint_errors::HintError::from)?;
    let expected = ctx.field("compiled_class_fact", compiled_class_fact::HASH)?;
    let found = ctx.felt("hash")?;
    if found != expected {
        return Err(HintFailure::Mismatch {
            what: "compiled class hash",
            expected: expected.to_hex_string(),
            found: found.to_hex_string(),
        });
    }
    Ok(())
}

/// Guesses whether the node at hand is a leaf.
fn is_leaf(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let node: Rc<BytecodeNode> = ctx.scopes.get(NODE)?;
    ctx.set_bit("is_leaf", matches!(*node, BytecodeNode::Leaf(_)))
}

/// Starts to walk the segments of the node at hand.
fn iterate_segments(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let node: Rc<BytecodeNode> = ctx.scopes.get(NODE)?;
    let segments = match &*node {
        BytecodeNode::Inner(children) => children.clone(),
        BytecodeNode::Leaf(_) => Vec::new(),
    };
    ctx.scopes.insert_value(SEGMENTS, segments.into_iter());
    Ok(())
}

/// Checks that all of them were walked.
fn check_no_segment_left(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segments: &mut std::vec::IntoIter<Rc<BytecodeNode>> = ctx.scopes.get_mut_ref(SEGMENTS)?;
    match segments.len() {
        0 => Ok(()),
        _ => Err(HintFailure::NotExhausted { what: "bytecode segments" }),
    }
}

/// Takes the next segment, and guesses whether the run touched it.
fn next_segment(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segments: &mut std::vec::IntoIter<Rc<BytecodeNode>> = ctx.scopes.get_mut_ref(SEGMENTS)?;
    let segment = segments.next().ok_or(HintFailure::Exhausted { what: "bytecode segments" })?;
    let start = ctx.ptr("data_ptr")?;
    let used = ctx.vm.is_accessed(&start)?;
    if !used {
        // The OS would overwrite the segment's first felt only, so nothing else of it may have been used.
        for offset in 1..segment.length() {
            if ctx.vm.is_accessed(&(start + offset)?)? {
                return Err(HintFailure::Mismatch {
                    what: "first use of a bytecode segment",
                    expected: start.to_string(),
                    found: (start + offset)?.to_string(),
                });
            }
        }
    }
    ctx.set_bit("is_segment_used", used)?;
    ctx.set_bit("is_used_leaf", used && matches!(*segment, BytecodeNode::Leaf(_)))?;
    ctx.set("segment_length", Felt::from(segment.length()))?;
    ctx.enter_scope([(NODE, Box::new(segment))])
}

/// Forgets the first felt of a segment that was not used.
fn forget_segment(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let start = ctx.ptr("data_ptr")?;
    Ok(ctx.vm.delete_unaccessed(start)?)
}

/// Guesses the hash of such a segment.
fn segment_hash(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let node: Rc<BytecodeNode> = ctx.scopes.get(NODE)?;
    ctx.set_ap(node.hash())
}
