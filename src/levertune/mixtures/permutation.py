"""Seeded permutations of range(n) that can be read anywhere, in both directions, in O(1) memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.signedinteger]
_Words = npt.NDArray[np.uint64]

# Up to here a permutation is drawn exactly and held (two arrays of 512 KiB at most).
MAX_EXACT_SIZE = 1 << 16
MAX_SIZE = 1 << 62

# At 7 values, where every order can be counted and bias is greatest, 50,000 seeds show the orders'
# chances off by 14 % (root mean square) with 12 rounds and by nothing they can tell with 16
# (LOG.md, 2026-11-22; benchmarks/mixture_order.py --rounds).
NUM_ROUNDS = 16

_BLOCK = 1 << 14  # 128 KiB an array, which stays in a core's cache
_WEYL = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1, _MULTIPLY_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)


class SortedPermutation:
    """A permutation drawn by sorting random keys: exactly uniform, 16 bytes a value.

    Ties between the 64-bit keys, which would favour the lower value, have a probability of 1e-10
    at 65,536 values.

    Args:
        size: How many values there are.
        keys: As many random 64-bit words.
    """

    def __init__(self, size: int, keys: _Words) -> None:
        self.size = size
        self._forward = np.argsort(keys[:size], kind="stable").astype(np.int64)
        self._inverse = np.empty(size, dtype=np.int64)
        self._inverse[self._forward] = np.arange(size)

    def forward(self, places: Integers) -> Integers:
        """The values that stand at these places.

        Args:
            places: Places, each in range(size).

        Returns:
            As many values.

        Raises:
            ValueError: If a place is out of range.
        """
        _check_range(places, self.size)
        return self._forward[places]

    def inverse(self, values: Integers) -> Integers:
        """The places at which these values stand.

        Args:
            values: Values, each in range(size).

        Returns:
            As many places.

        Raises:
            ValueError: If a value is out of range.
        """
        _check_range(values, self.size)
        return self._inverse[values]


class FeistelPermutation:
    """A permutation computed place by place: nothing is held but the round keys.

    A place is split into a low part in Z_a and a high part in Z_b, and the two are shifted in turn
    by a random function of the other: a Feistel network (Luby and Rackoff, How to construct
    pseudorandom permutations from pseudorandom functions, 1988) over a x b values instead of a
    power of two (Black and Rogaway, Ciphers with arbitrary finite domains, 2002, section 5). Where
    it leads past the last value it is applied again until it does not, which is a permutation of
    the values there are (cycle walking, section 4 there). a is the power of two with half of n's
    bits and b = ceil(n / a), so a x b exceeds n by less than a, which is at most sqrt(2 n), and
    hardly any value is walked a second step. a is even, so that odd permutations can be reached.

    The random function is SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number
    generators, 2014): word number x of the stream that starts from the round's key. It is integer
    arithmetic modulo 2^64, the same on every machine. It is no cipher: the order is
    unpredictable to statistics, not to an adversary.

    Args:
        size: How many values there are.
        keys: One random 64-bit word a round.
    """

    def __init__(self, size: int, keys: _Words) -> None:
        self.size = size
        bits = size.bit_length() // 2
        self._bits, self._mask = np.uint64(bits), np.uint64((1 << bits) - 1)
        self._high_size = np.uint64(max(1, -(-size >> bits)))
        self._keys = keys

    def forward(self, places: Integers) -> Integers:
        """The values that stand at these places.

        Args:
            places: Places, each in range(size).

        Returns:
            As many values.

        Raises:
            ValueError: If a place is out of range.
        """
        return self._walk(places, inverse=False)

    def inverse(self, values: Integers) -> Integers:
        """The places at which these values stand.

        Args:
            values: Values, each in range(size).

        Returns:
            As many places.

        Raises:
            ValueError: If a value is out of range.
        """
        return self._walk(values, inverse=True)

    def _walk(self, numbers: Integers, *, inverse: bool) -> Integers:
        _check_range(numbers, self.size)
        found = np.empty(len(numbers), dtype=np.int64)
        for start in range(0, len(numbers), _BLOCK):
            block = self._apply(numbers[start : start + _BLOCK].astype(np.uint64), inverse)
            outside = np.flatnonzero(block >= self.size)
            while len(outside):
                block[outside] = self._apply(block[outside], inverse)
                outside = outside[block[outside] >= self.size]
            found[start : start + _BLOCK] = block.astype(np.int64)
        return found

    def _apply(self, numbers: _Words, inverse: bool) -> _Words:
        """The network itself, over all a x b values."""
        low, high, size = numbers & self._mask, numbers >> self._bits, self._high_size
        rounds = range(len(self._keys))
        for number in reversed(rounds) if inverse else rounds:
            # The high part first: neighbours share it, so shifting by it would not part them.
            if number % 2 == 0:
                shift = _random_words(low, self._keys[number]) % size
                # What passes an end wraps round 2^64 and is the greater of the two.
                if inverse:
                    high -= shift
                    np.minimum(high, high + size, out=high)
                else:
                    high += shift
                    np.minimum(high, high - size, out=high)
            else:
                shift = _random_words(high, self._keys[number])
                low = (low - shift if inverse else low + shift) & self._mask
        return (high << self._bits) | low


Permutation = SortedPermutation | FeistelPermutation


def draw_permutation(size: int, seed: int, *stream: int) -> Permutation:
    """A random permutation of range(size), the same on every machine and in every release.

    Up to `MAX_EXACT_SIZE` values it is drawn exactly and held; above, it is computed on demand.
    `Generator.permutation` may draw differently in a later numpy (NEP 19), which would break a
    resume, so the keys come from the raw output of PCG64, which is guaranteed.

    Args:
        size: How many values to permute.
        seed: The seed.
        stream: Numbers that tell the uses of one seed apart.

    Returns:
        The permutation.

    Raises:
        ValueError: If `size` is negative or above `MAX_SIZE`.
    """
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"a permutation has 0 to {MAX_SIZE} values; found {size}.")
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream))
    if size <= MAX_EXACT_SIZE:
        return SortedPermutation(size, bits.random_raw(size))
    return FeistelPermutation(size, bits.random_raw(NUM_ROUNDS))


def _random_words(counter: _Words, key: np.uint64) -> _Words:
    words = counter * _WEYL
    words += key
    words ^= words >> _SHIFT_1
    words *= _MULTIPLY_1
    words ^= words >> _SHIFT_2
    words *= _MULTIPLY_2
    words ^= words >> _SHIFT_3
    return words


def _check_range(numbers: Integers, size: int) -> None:
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < size):
        raise ValueError(
            f"places and values are in range({size}); "
            f"found {int(numbers.min())} to {int(numbers.max())}."
        )
