//! Updating a trie (`patricia.cairo`, and `patricia_with_sponge.cairo` for the class trie).
//!
//! The OS walks the trie before and the trie after along all accessed keys, and both walks must meet the same
//! siblings. The scope of a node has the variables `node`, `left_child` and `right_child` ([`Update`]),
//! `case` ([`Case`]), `descent_map` and `descend`.

use std::rc::Rc;

use cairo_vm::types::relocatable::Relocatable;
use starknet_types_core::felt::Felt;

use super::update_tree::{Case, DescentMap, Update, UpdateTree, descents};
use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::{dict_access, hash_builtin, node_edge, sponge_hash_builtin};
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("8c3591e4ab65e684", "guess_descents", guess_descents),
    Hint::new("db5bd8406df63fca", "enter_root", enter_root),
    Hint::new("5a07c62596e0ca77", "is_binary_or_leaf", is_binary_or_leaf),
    Hint::new("97cb32d0803932b1", "open_edge", open_edge),
    Hint::new("84eb8ef5dc9905af", "open_bottom", open_bottom),
    Hint::new("7f969abbdbcafece", "open_binary", open_binary),
    Hint::new("59e248afb28259f3", "decode_empty", decode_node),
    Hint::new("d335456cb6359e0b", "decode_edge", decode_node),
    Hint::new("65fe67c1edf6fc58", "case_is_not_left", case_is_not_left),
    Hint::new("5c7f56f25cf5e19a", "check_case_is_right", check_case_is_right),
    Hint::new("6a06048e113f937e", "case_leaves_edge", case_leaves_edge),
    Hint::new("18abecd251dfb099", "edge_bit", edge_bit),
    Hint::new("52b6b6a7d72fbf5e", "enter_left", enter_left),
    Hint::new("6cb9acda96d0e8fc", "enter_right", enter_right),
    Hint::new("cd1eef860a348463", "enter_only_child", enter_only_child),
    Hint::new("8fe15deedd8e9b8f", "enter_child_on_edge", enter_child_on_edge),
    Hint::new("22ca821e8ff5344a", "enter_child_off_edge", enter_child_off_edge),
    Hint::new("44ecdbfcd8dc25c3", "descent_starts", descent_starts),
    Hint::new("c8565e1ee3d61cc8", "write_descent_as_sibling", write_descent_as_sibling),
    Hint::new("f4dd89993d22469f", "write_descent", write_descent),
    Hint::new("0a0e074fe38521d2", "enter_end_of_descent", enter_end_of_descent),
];

/// Lists the accessed keys and guesses the descents.
fn guess_descents(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let height = height(ctx)?;
    let (updates, count) = (ctx.ptr("update_ptr")?, ctx.usize("n_updates")?);
    let mut keys = Vec::with_capacity(count);
    for index in 0..count {
        let key = (updates + (index * dict_access::SIZE + dict_access::KEY))?;
        keys.push(ctx.vm.get_integer(key)?.into_owned());
    }
    keys.sort_unstable();
    keys.dedup();
    let node = UpdateTree::build(height, &keys);
    let map = descents(ctx.os, height, &node, ctx.felt("prev_root")?, ctx.felt("new_root")?)?;
    ctx.scopes.insert_value("node", node);
    ctx.scopes.insert_value("descent_map", Rc::new(map));
    Ok(())
}

fn height(ctx: &HintContext<'_, '_>) -> Result<u8, HintFailure> {
    let value = ctx.felt("height")?;
    u8::try_from(value).map_err(|_| HintFailure::OutOfRange { what: "height", value })
}

/// Opens the scope of a node.
fn enter(ctx: &mut HintContext<'_, '_>, node: Update) -> HintResult {
    let map: Rc<DescentMap> = ctx.scopes.get("descent_map")?;
    ctx.enter_scope([("node", Box::new(node)), ("descent_map", Box::new(map))])
}

fn enter_root(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let node: Update = ctx.scopes.get("node")?;
    enter(ctx, node)
}

/// Guesses whether a node that is not empty is binary or a leaf, not an edge.
fn is_binary_or_leaf(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let found = height(ctx)? == 0 || ctx.os.preimage(ctx.felt("node")?)?.len() == 2;
    ctx.set_ap_bit(found)
}

/// The class trie is hashed with Poseidon, whose builtin has other offsets.
fn uses_sponge(ctx: &HintContext<'_, '_>) -> bool {
    ctx.data.accessible_scopes.last().is_some_and(|scope| scope.contains(".patricia_with_sponge."))
}

/// Guesses an edge node: length, path and child, and the hash without the length.
fn open_edge(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let node = ctx.felt("node")?;
    let &[length, path, bottom] = ctx.os.preimage(node)? else {
        return Err(HintFailure::Missing { what: "edge node", key: node });
    };
    let edge = ctx.vm.add_memory_segment();
    ctx.set("edge", edge)?;
    let mut fields = [Felt::ZERO; node_edge::SIZE];
    fields[node_edge::LENGTH] = length;
    fields[node_edge::PATH] = path;
    fields[node_edge::BOTTOM] = bottom;
    ctx.write(edge, &fields)?;
    let result = if uses_sponge(ctx) { sponge_hash_builtin::RESULT } else { hash_builtin::RESULT };
    let result = (ctx.ptr("hash_ptr")? + result)?;
    ctx.vm.insert_value(result, node - length)?;
    Ok(())
}

/// Writes the children of a binary node to where the builtin hashes them.
fn write_children(ctx: &mut HintContext<'_, '_>, node: Felt, builtin: Relocatable) -> HintResult {
    let &[left, right] = ctx.os.preimage(node)? else {
        return Err(HintFailure::Missing { what: "binary node", key: node });
    };
    let (x, y) = if uses_sponge(ctx) {
        (sponge_hash_builtin::X, sponge_hash_builtin::Y)
    } else {
        (hash_builtin::X, hash_builtin::Y)
    };
    ctx.vm.insert_value((builtin + x)?, left)?;
    ctx.vm.insert_value((builtin + y)?, right)?;
    Ok(())
}

/// Guesses the children of the node below an edge, to show that the edge could not be longer.
fn open_bottom(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let bottom = ctx.field("edge", node_edge::BOTTOM)?;
    let builtin = ctx.ptr("hash_ptr")?;
    write_children(ctx, bottom, builtin)
}

/// Guesses the children of a binary node, and whether only one of them is walked.
fn open_binary(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let node = ctx.felt("node")?;
    let builtin = ctx.ptr("current_hash")?;
    write_children(ctx, node, builtin)?;
    decode_node(ctx)
}

/// Takes the node at hand apart, and guesses whether only one of its children is walked.
fn decode_node(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let node: Update = ctx.scopes.get("node")?;
    let (left, right, case) = UpdateTree::decode(&node)?;
    ctx.scopes.insert_value("left_child", left);
    ctx.scopes.insert_value("right_child", right);
    ctx.scopes.insert_value("case", case);
    ctx.set_ap_bit(case != Case::Both)
}

fn case_is_not_left(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let case: Case = ctx.scopes.get("case")?;
    ctx.set_ap_bit(case != Case::Left)
}

fn check_case_is_right(ctx: &mut HintContext<'_, '_>) -> HintResult {
    match ctx.scopes.get("case")? {
        Case::Right => Ok(()),
        Case::Left => Err(HintFailure::UpdateTree { expected: "right only", found: "left only" }),
        Case::Both => Err(HintFailure::UpdateTree { expected: "right only", found: "both" }),
    }
}

/// Guesses whether the one child that is walked is the one that the edge does not lead to.
fn case_leaves_edge(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let case: Case = ctx.scopes.get("case")?;
    let bit = ctx.bit("bit")?;
    ctx.set_ap_bit((case == Case::Right) != bit)
}

/// Guesses the next step of an edge.
fn edge_bit(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let path = ctx.field("edge", node_edge::PATH)?;
    let bit = ctx.usize("new_length")?;
    let bit = path.to_bits_le().get(bit).copied().unwrap_or_default();
    ctx.set_bit("bit", bit)
}

fn enter_child(ctx: &mut HintContext<'_, '_>, right: bool) -> HintResult {
    let child: Update = ctx.scopes.get(if right { "right_child" } else { "left_child" })?;
    enter(ctx, child)
}

fn enter_left(ctx: &mut HintContext<'_, '_>) -> HintResult {
    enter_child(ctx, false)
}

fn enter_right(ctx: &mut HintContext<'_, '_>) -> HintResult {
    enter_child(ctx, true)
}

/// Guesses which the only child is, and opens its scope.
fn enter_only_child(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let case: Case = ctx.scopes.get("case")?;
    let right = case != Case::Left;
    ctx.set_bit("child_bit", right)?;
    enter_child(ctx, right)
}

fn enter_child_on_edge(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let bit = ctx.bit("bit")?;
    enter_child(ctx, bit)
}

fn enter_child_off_edge(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let bit = ctx.bit("bit")?;
    enter_child(ctx, !bit)
}

/// Guesses whether a descent starts at the node at hand.
fn descent_starts(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let key = (height(ctx)?, ctx.felt("path")?);
    let map: &Rc<DescentMap> = ctx.scopes.get_ref("descent_map")?;
    let descent = map.get(&key).copied();
    if let Some(descent) = descent {
        ctx.scopes.insert_value("descend", descent);
    }
    ctx.set_ap_bit(descent.is_some())
}

/// Guesses length and path of the descent; the length stands for all its empty siblings.
fn write_descent_as_sibling(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (length, word): (u8, Felt) = ctx.scopes.get("descend")?;
    let siblings = ctx.ptr("siblings")?;
    ctx.vm.insert_value(siblings, Felt::from(length))?;
    ctx.set("word", word)
}

/// Guesses length and path of the descent.
fn write_descent(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (length, word): (u8, Felt) = ctx.scopes.get("descend")?;
    ctx.set("length", Felt::from(length))?;
    ctx.set("word", word)
}

/// Opens the scope of the node at the end of the descent.
fn enter_end_of_descent(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let mut node: Update = ctx.scopes.get("node")?;
    let (length, word) = (ctx.usize("length")?, ctx.felt("word")?.to_bits_le());
    for bit in (0..length).rev() {
        let (left, right, _) = UpdateTree::decode(&node)?;
        node = if word.get(bit).copied().unwrap_or_default() { right } else { left };
    }
    enter(ctx, node)
}
