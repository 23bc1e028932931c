// The block prover's test task: it writes `n`, a Pedersen chain, a Poseidon chain and a few sums, so that a proof of
// it has work for the same components as a block has. Nothing in it needs a hint.
%builtins output pedersen range_check bitwise poseidon

from starkware.cairo.common.cairo_builtins import BitwiseBuiltin, HashBuiltin, PoseidonBuiltin

const ROUNDS = 40;

func pedersen_chain{pedersen_ptr: HashBuiltin*}(value: felt, rounds: felt) -> (value: felt) {
    if (rounds == 0) {
        return (value=value);
    }
    assert pedersen_ptr.x = value;
    assert pedersen_ptr.y = rounds;
    let next = pedersen_ptr.result;
    let pedersen_ptr = pedersen_ptr + HashBuiltin.SIZE;
    return pedersen_chain(value=next, rounds=rounds - 1);
}

func poseidon_chain{poseidon_ptr: PoseidonBuiltin*}(value: felt, rounds: felt) -> (value: felt) {
    if (rounds == 0) {
        return (value=value);
    }
    assert poseidon_ptr.input.s0 = value;
    assert poseidon_ptr.input.s1 = rounds;
    assert poseidon_ptr.input.s2 = 2;
    let next = poseidon_ptr.output.s0;
    let poseidon_ptr = poseidon_ptr + PoseidonBuiltin.SIZE;
    return poseidon_chain(value=next, rounds=rounds - 1);
}

func fibonacci(a: felt, b: felt, rounds: felt) -> (value: felt) {
    if (rounds == 0) {
        return (value=a);
    }
    return fibonacci(a=b, b=a + b, rounds=rounds - 1);
}

func main{
    output_ptr: felt*,
    pedersen_ptr: HashBuiltin*,
    range_check_ptr,
    bitwise_ptr: BitwiseBuiltin*,
    poseidon_ptr: PoseidonBuiltin*,
}() {
    alloc_locals;
    let (local pedersen) = pedersen_chain(value=1, rounds=ROUNDS);
    let (local poseidon) = poseidon_chain(value=1, rounds=ROUNDS);
    let (local sum) = fibonacci(a=0, b=1, rounds=ROUNDS);
    assert [range_check_ptr] = sum;
    let range_check_ptr = range_check_ptr + 1;
    assert bitwise_ptr.x = sum;
    assert bitwise_ptr.y = 1023;
    let low = bitwise_ptr.x_and_y;
    let bitwise_ptr = bitwise_ptr + BitwiseBuiltin.SIZE;
    assert output_ptr[0] = ROUNDS;
    assert output_ptr[1] = pedersen;
    assert output_ptr[2] = poseidon;
    assert output_ptr[3] = sum;
    assert output_ptr[4] = low;
    let output_ptr = output_ptr + 5;
    return ();
}
