// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Where the verifier keeps what. It allocates all of it at once, past what Solidity reserves, and never more.

// Channel: the tag at + 31, the digest at + 32, data from + 64 on, at most the sampled values' 5,808 bytes.
uint256 constant CHANNEL = 0x80;
// A leaf to hash: a tag and at most 152 values of four bytes.
uint256 constant LEAF = 0x1880;
// Nodes of a tree's layer: position and hash each, and a position behind them.
uint256 constant NODES = 0x1b80;
// Queried positions, ascending, without repetition; one more word, for inserting.
uint256 constant POSITIONS = 0x2080;
// Values of a FRI layer that are known: position and value (in 1, i, u, iu) each.
uint256 constant KNOWN = 0x2300;
// The point out of the domain.
uint256 constant OODS_X = 0x2800;
uint256 constant OODS_Y = 0x2820;
// Powers of it combine the quotients.
uint256 constant QUOTIENT_COEFFICIENT = 0x2840;
// One for each FRI layer.
uint256 constant FOLDING_COEFFICIENTS = 0x2860;
// The claimed output, eight big endian words.
uint256 constant OUTPUT = 0x28e0;
// How many positions there are.
uint256 constant N_POSITIONS = 0x2900;
// Where the queried rows begin in calldata.
uint256 constant ROWS = 0x2920;
// First column of each component in a leaf of the trace and of the interaction trace.
uint256 constant TRACE_STARTS = 0x29a0;
uint256 constant INTERACTION_STARTS = 0x2b00;
// `CIRCLE_POINTS`.
uint256 constant POINTS = 0x2c60;
uint256 constant POINTS_BYTES = 896;
// The input of `CircuitConstraints`, behind its selector in the four bytes before.
uint256 constant INPUTS = 0x3020;
// Coefficient of each column in the quotient at the point out of the domain, in the order of a row's values, of which
// there are 319: 45, 114, 152 and 8. One more is zero.
uint256 constant COEFFICIENTS = 0x4c00;
uint256 constant TRACE_COEFFICIENTS = 0x51a0;
uint256 constant INTERACTION_COEFFICIENTS = 0x5fe0;
uint256 constant COMPOSITION_COEFFICIENTS = 0x72e0;
// Coefficients of the running sums' four columns, component by component: at the row before, and for periodicity.
uint256 constant PREVIOUS_COEFFICIENTS = 0x7500;
uint256 constant PERIOD_COEFFICIENTS = 0x7a80;
// The samples by point: out of the domain, the row before, and a period away for each component.
uint256 constant BATCHES = 0x8000;
uint256 constant N_BATCHES = 13;
uint256 constant BATCH_BYTES = 0x160;
// In a batch: sums by coordinate of the samples (four words), then what they become.
uint256 constant BATCH_SCALE = 0x80;
uint256 constant BATCH_SLOPE = 0xa0;
uint256 constant BATCH_OFFSET = 0xc0;
uint256 constant BATCH_LINE = 0x100;
uint256 constant BATCH_LINE_X = 0x120;
uint256 constant BATCH_LINE_Y = 0x140;
// The queried points, x and y.
uint256 constant QUERY_POINTS = 0x9200;
// For each query and batch: the denominator, in 1, i; and its norm, then the norm's inverse.
uint256 constant DENOMINATORS = 0x9680;
uint256 constant NORMS = 0xb3c0;
// Of inverting many at once, as many words.
uint256 constant PREFIXES = 0xd100;
// Sixteen for each coset of a FRI layer: coordinates of points, then what its folding divides by, inverted.
uint256 constant TWIDDLES = 0xf2c0;
// Nodes of a layer of the four trees of rows: position and four hashes each, and a position behind them. FRI comes later.
uint256 constant ROW_NODES = TWIDDLES;
uint256 constant ROW_NODE_BYTES = 0xa0;
// One for each coset of a FRI layer. The quotients' norms are no longer needed.
uint256 constant COSET_INVERSES = NORMS;
// The values of a coset: as a leaf has them (one word more for writing), and as words.
uint256 constant COSET_BYTES = 0x116c0;
uint256 constant COSET = 0x117e0;
// Four levels of four words: the folding coefficient's powers 1, 2, 4, 8 times 1, i, u, iu.
uint256 constant ROTATIONS = 0x119e0;
// The coefficients of the last layer.
uint256 constant LAST_LAYER = 0x11be0;
// Products of the last layer's basis: of its four lower and four upper factors.
uint256 constant BASIS_LOW = 0x13be0;
uint256 constant BASIS_HIGH = 0x13de0;
uint256 constant MEMORY_END = 0x13fe0;
