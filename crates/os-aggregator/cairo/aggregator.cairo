// Joins the outputs of StarknetOS over consecutive blocks into one: the output that StarknetOS itself would have in
// the KZG form if it ran over all of them, and a trailer that binds the proofs of the blocks.
//
// Each block was proven by itself: StarknetOS ran with `use_kzg_da = 0`, `full_output = 0` as the one task of a
// bootloader, whose output is the hash of program hash and task output; a circuit (`wrap`) verified that proof, others
// (`merge`) verified two proofs each, along a tree. The output of each circuit is a hash of what it verified, so that
// the root of the tree stands for all outputs of StarknetOS. This program gets the outputs themselves, checks that
// they continue each other, and computes the root from them.
//
// Nothing that a hint supplies is believed. What a prover may choose freely is in the output: the two circuits' roots,
// the tree's root and the KZG commitments, which the settlement contract compares with the proof, and with the blobs.

%builtins output pedersen range_check poseidon

from starkware.cairo.common.alloc import alloc
from starkware.cairo.common.cairo_blake2s.blake2s import (
    blake_with_opcode,
    encode_felt252_data_and_calc_blake_hash,
)
from starkware.cairo.common.cairo_builtins import HashBuiltin, PoseidonBuiltin
from starkware.cairo.common.hash import hash2
from starkware.cairo.common.math import assert_in_range, assert_nn, assert_nn_le, split_felt
from starkware.cairo.common.memcpy import memcpy
from starkware.cairo.common.serialize import serialize_word
from starkware.starknet.core.os.data_availability.commitment import compute_os_kzg_commitment_info
from starkware.starknet.core.os.output import (
    MessageToL1Header,
    MessageToL2Header,
    OsCarriedOutputs,
    OsOutputHeader,
    serialize_messages,
    serialize_os_kzg_commitment_info,
    serialize_output_header,
)
from starkware.starknet.core.os.state.commitment import CommitmentUpdate

// Blake2s program hash of StarknetOS 0.13.5, as the bootloader computes it.
const STARKNET_OS_BLAKE_HASH = 0x46793ba2df5e56b466951fdda30b7313442b5b1c6b01eb987e71c3c32096bd1;

// Most blocks in one run. Fewer fit into a proof, unless they are empty.
const MAX_BLOCKS = 1024;

// Words before the output of the one task in what the bootloader hashes: number of tasks, size, program hash.
const RECORD_HEADER_LEN = 3;

// The field of the circuits: their hashes are Blake2s with each word modulo this.
const M31 = 2 ** 31 - 1;
const HASH_WORDS = 8;

// A felt of the Cairo AIR is 28 limbs of 9 bits, the lowest first.
const LIMB_BOUND = 2 ** 9;
const LIMBS = 28;
// Limb 14 has 2 bits of the low half of a felt (128 = 14 * 9 + 2) and 7 of the high one.
const LIMBS_BELOW = 14;
const LIMBS_ABOVE = 13;
const MIDDLE_LOW_BOUND = 2 ** 2;
const MIDDLE_LOW_SHIFT = 2 ** 126;
const MIDDLE_HIGH_BOUND = 2 ** 7;

// The first words of an output of StarknetOS, as they stand there.
struct OsHeader {
    initial_root: felt,
    final_root: felt,
    prev_block_number: felt,
    new_block_number: felt,
    prev_block_hash: felt,
    new_block_hash: felt,
    os_program_hash: felt,
    starknet_os_config_hash: felt,
    use_kzg_da: felt,
    full_output: felt,
}

func main{
    output_ptr: felt*, pedersen_ptr: HashBuiltin*, range_check_ptr, poseidon_ptr: PoseidonBuiltin*
}() {
    alloc_locals;
    // Nothing needs this hash but the circuit that verifies the proof: it is made for the proofs of blocks, which have
    // the components for Pedersen hashes.
    let (_) = hash2{hash_ptr=pedersen_ptr}(1, 2);
    local pedersen_ptr: HashBuiltin* = pedersen_ptr;

    local n_blocks;
    local wrap_root: felt*;
    local merge_root: felt*;
    local messages_to_l1_start: felt*;
    local messages_to_l2_start: felt*;
    %{ aggregator_input %}
    assert_in_range(n_blocks, 1, MAX_BLOCKS + 1);

    let (local data_start: felt*) = alloc();
    let (local leaves_start: felt*) = alloc();
    let data = data_start;
    let messages_to_l1 = messages_to_l1_start;
    let messages_to_l2 = messages_to_l2_start;
    let leaves = leaves_start;
    with data, messages_to_l1, messages_to_l2, leaves {
        let first = read_block();
        let last = read_successors(previous=first, n_blocks=n_blocks - 1);
    }
    local leaves_end: felt* = leaves;
    local data_end: felt* = data;
    local first: OsHeader* = first;
    local last: OsHeader* = last;

    let leaves = leaves_start;
    with leaves {
        let (_, tree_hash) = hash_tree(wrap_root=wrap_root, merge_root=merge_root);
    }
    with_attr error_message("The tree has another number of leaves than there are blocks.") {
        assert leaves = leaves_end;
    }
    local tree_hash: felt* = tree_hash;

    tempvar roots = new CommitmentUpdate(
        initial_root=first.initial_root, final_root=last.final_root
    );
    serialize_output_header(
        new OsOutputHeader(
            state_update_output=roots,
            prev_block_number=first.prev_block_number,
            new_block_number=last.new_block_number,
            prev_block_hash=first.prev_block_hash,
            new_block_hash=last.new_block_hash,
            os_program_hash=STARKNET_OS_BLAKE_HASH,
            starknet_os_config_hash=first.starknet_os_config_hash,
            use_kzg_da=1,
            full_output=0,
        ),
    );
    let os_kzg_commitment_info = compute_os_kzg_commitment_info(
        state_updates_start=data_start, state_updates_end=data_end
    );
    serialize_os_kzg_commitment_info(os_kzg_commitment_info=os_kzg_commitment_info);
    serialize_messages(
        initial_carried_outputs=new OsCarriedOutputs(
            messages_to_l1=cast(messages_to_l1_start, MessageToL1Header*),
            messages_to_l2=cast(messages_to_l2_start, MessageToL2Header*),
        ),
        final_carried_outputs=new OsCarriedOutputs(
            messages_to_l1=cast(messages_to_l1, MessageToL1Header*),
            messages_to_l2=cast(messages_to_l2, MessageToL2Header*),
        ),
    );
    serialize_hash(wrap_root);
    serialize_hash(merge_root);
    serialize_hash(tree_hash);
    return ();
}

// Reads the next block: checks that its output has the form that is proven, appends its data and messages to those of
// the blocks before it, and the output of the circuit that wraps its proof to the leaves.
func read_block{
    range_check_ptr, data: felt*, messages_to_l1: felt*, messages_to_l2: felt*, leaves: felt*
}() -> OsHeader* {
    alloc_locals;
    // What the bootloader hashes: 1 (task), 2 + length, the program hash, and the output of so many words.
    local record: felt*;
    local length;
    %{ next_block %}
    assert record[0] = 1;
    assert record[1] = length + 2;
    assert record[2] = STARKNET_OS_BLAKE_HASH;
    local output: felt* = record + RECORD_HEADER_LEN;
    local header: OsHeader* = cast(output, OsHeader*);

    with_attr error_message("The output is not in the form that is proven.") {
        assert header.os_program_hash = 0;
        assert header.use_kzg_da = 0;
        assert header.full_output = 0;
    }
    with_attr error_message("The block is not one block.") {
        assert header.new_block_number = header.prev_block_number + 1;
    }

    // Each length is below 2^128 and their sum is `length`, the number of words that are hashed below, one by one: so
    // no sum wraps around, and data and messages are words of the output.
    let messages_to_l1_len = output[OsHeader.SIZE];
    assert_nn(messages_to_l1_len);
    memcpy(dst=messages_to_l1, src=&output[OsHeader.SIZE + 1], len=messages_to_l1_len);
    let messages_to_l1 = &messages_to_l1[messages_to_l1_len];
    local after_l1: felt* = &output[OsHeader.SIZE + 1 + messages_to_l1_len];
    let messages_to_l2_len = after_l1[0];
    assert_nn(messages_to_l2_len);
    memcpy(dst=messages_to_l2, src=&after_l1[1], len=messages_to_l2_len);
    let messages_to_l2 = &messages_to_l2[messages_to_l2_len];
    local data_len = length - (OsHeader.SIZE + 2 + messages_to_l1_len + messages_to_l2_len);
    with_attr error_message("The output is shorter than its messages.") {
        assert_nn(data_len);
    }
    memcpy(dst=data, src=&after_l1[1 + messages_to_l2_len], len=data_len);
    let data = &data[data_len];

    // A felt may be encoded in more ways than one, but what is encoded is unique: a prover who finds another encoding
    // has found another hash of the same output, which no bootloader wrote.
    let (record_hash) = encode_felt252_data_and_calc_blake_hash(
        data_len=length + RECORD_HEADER_LEN, data=record
    );
    let limbs = split_limbs(record_hash);
    hash_m31(n_words=LIMBS, words=limbs, hash=leaves);
    let leaves = &leaves[HASH_WORDS];
    return header;
}

// Reads `n_blocks` blocks, each of which must continue the one before it. Returns the header of the last.
func read_successors{
    range_check_ptr, data: felt*, messages_to_l1: felt*, messages_to_l2: felt*, leaves: felt*
}(previous: OsHeader*, n_blocks: felt) -> OsHeader* {
    alloc_locals;
    if (n_blocks == 0) {
        return previous;
    }
    let header = read_block();
    with_attr error_message("The block does not continue the one before it.") {
        assert header.initial_root = previous.final_root;
        assert header.prev_block_number = previous.new_block_number;
        assert header.prev_block_hash = previous.new_block_hash;
        assert header.starknet_os_config_hash = previous.starknet_os_config_hash;
    }
    return read_successors(previous=header, n_blocks=n_blocks - 1);
}

// Computes the output of the root of a tree of circuits, and which circuit it is, by its root. Consumes the leaves from
// left to right. The tree's shape is the prover's: it is a part of what the root's output stands for.
func hash_tree{range_check_ptr, leaves: felt*}(wrap_root: felt*, merge_root: felt*) -> (
    root: felt*, hash: felt*
) {
    alloc_locals;
    local is_leaf;
    %{ next_node %}
    if (is_leaf != 0) {
        let hash = leaves;
        let leaves = &leaves[HASH_WORDS];
        return (root=wrap_root, hash=hash);
    }
    let (local left_root, local left_hash) = hash_tree(wrap_root=wrap_root, merge_root=merge_root);
    let (local right_root, local right_hash) = hash_tree(
        wrap_root=wrap_root, merge_root=merge_root
    );
    let (local words: felt*) = alloc();
    memcpy(dst=words, src=left_root, len=HASH_WORDS);
    memcpy(dst=&words[HASH_WORDS], src=left_hash, len=HASH_WORDS);
    memcpy(dst=&words[2 * HASH_WORDS], src=right_root, len=HASH_WORDS);
    memcpy(dst=&words[3 * HASH_WORDS], src=right_hash, len=HASH_WORDS);
    let (local hash: felt*) = alloc();
    hash_m31(n_words=4 * HASH_WORDS, words=words, hash=hash);
    return (root=merge_root, hash=hash);
}

// The hash of the circuits: Blake2s of the words, each word of the result modulo 2^31 - 1.
// The opcode checks that all words are in the range [0, 2^32).
func hash_m31{range_check_ptr}(n_words: felt, words: felt*, hash: felt*) {
    alloc_locals;
    let (local unreduced: felt*) = alloc();
    blake_with_opcode(len=n_words, data=words, out=unreduced);
    reduce_words(n_words=HASH_WORDS, words=unreduced, reduced=hash);
    return ();
}

// Reduces words in the range [0, 2^32) modulo 2^31 - 1, to the representative below it.
func reduce_words{range_check_ptr}(n_words: felt, words: felt*, reduced: felt*) {
    if (n_words == 0) {
        return ();
    }
    let word = words[0];
    tempvar quotient;
    %{ reduction_quotient %}
    // 2^32 - 1 = 2 * M31 + 1.
    assert quotient * (quotient - 1) * (quotient - 2) = 0;
    tempvar remainder = word - quotient * M31;
    assert [range_check_ptr] = remainder;
    assert [range_check_ptr + 1] = M31 - 1 - remainder;
    assert reduced[0] = remainder;
    let range_check_ptr = range_check_ptr + 2;
    return reduce_words(n_words=n_words - 1, words=&words[1], reduced=&reduced[1]);
}

// Splits the integer in the range [0, PRIME) that a felt stands for into its limbs.
func split_limbs{range_check_ptr}(value: felt) -> felt* {
    alloc_locals;
    let (local high, local low) = split_felt(value);
    local limbs: felt*;
    local middle_low;
    local middle_high;
    %{ felt_limbs %}
    assert_nn_le(middle_low, MIDDLE_LOW_BOUND - 1);
    assert_nn_le(middle_high, MIDDLE_HIGH_BOUND - 1);
    assert limbs[LIMBS_BELOW] = middle_low + MIDDLE_LOW_BOUND * middle_high;
    // Both sums are below 2^128, as the halves of the felt are: the limbs are the only ones.
    let below = sum_limbs(n_limbs=LIMBS_BELOW, limbs=limbs);
    assert low = below + MIDDLE_LOW_SHIFT * middle_low;
    let above = sum_limbs(n_limbs=LIMBS_ABOVE, limbs=&limbs[LIMBS_BELOW + 1]);
    assert high = middle_high + MIDDLE_HIGH_BOUND * above;
    return limbs;
}

// The number that limbs stand for. Checks that each is in the range [0, 2^9).
func sum_limbs{range_check_ptr}(n_limbs: felt, limbs: felt*) -> felt {
    if (n_limbs == 0) {
        return 0;
    }
    let limb = limbs[0];
    assert [range_check_ptr] = limb;
    assert [range_check_ptr + 1] = LIMB_BOUND - 1 - limb;
    let range_check_ptr = range_check_ptr + 2;
    let rest = sum_limbs(n_limbs=n_limbs - 1, limbs=&limbs[1]);
    return limbs[0] + LIMB_BOUND * rest;
}

// Writes 8 words of 32 bits as two halves of 128 bits, the low one first.
func serialize_hash{range_check_ptr, output_ptr: felt*}(words: felt*) {
    alloc_locals;
    let low = pack_words(n_words=HASH_WORDS / 2, words=words);
    serialize_word(low);
    let high = pack_words(n_words=HASH_WORDS / 2, words=&words[HASH_WORDS / 2]);
    serialize_word(high);
    return ();
}

// The number that words stand for, the lowest first. Checks that each is in the range [0, 2^32): for one block alone
// no hash checks the words of the roots.
func pack_words{range_check_ptr}(n_words: felt, words: felt*) -> felt {
    if (n_words == 0) {
        return 0;
    }
    let word = words[0];
    assert [range_check_ptr] = word;
    assert [range_check_ptr + 1] = 2 ** 32 - 1 - word;
    let range_check_ptr = range_check_ptr + 2;
    let rest = pack_words(n_words=n_words - 1, words=&words[1]);
    return words[0] + 2 ** 32 * rest;
}
