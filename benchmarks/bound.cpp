// The bound that the twin's kernel is measured against: the same loop, written by hand.
// Compiled only when measured (see bench_kernel.py):
//   g++ -O3 -march=native -shared -fPIC -o bound.so bound.cpp
// The potentials lie [y][x][channel] in int16; each tap is a saturating add, a clamp, a compare
// and a masked subtraction. Written for AVX-512BW where the compiler has it, else for AVX2.
// Two forms: one asks whether any neuron of a vector fired before it writes spikes out, which is
// the quicker where nearly none does; one (-DASKS=0) writes without asking, which is the quicker
// where a branch would be guessed wrong. The bound is the better of the two.
#include <cstdint>
#include <immintrin.h>

#ifndef ASKS
#define ASKS 1
#endif

namespace {

#ifdef __AVX512BW__

// One run of n consecutive neurons; returns the new end of the spikes.
inline int32_t *run(int16_t *v, const int8_t *w, int n, int32_t address, __m512i high,
                    __m512i low, int32_t *spikes) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (int i = 0; i < n; i += 32) {
        const __mmask32 valid = n - i >= 32 ? 0xffffffffu : (1u << (n - i)) - 1;
        const __m512i taps = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(valid, w + i));
        __m512i p = _mm512_adds_epi16(_mm512_maskz_loadu_epi16(valid, v + i), taps);
        p = _mm512_max_epi16(p, low);
        const __mmask32 fired = _mm512_mask_cmpge_epi16_mask(valid, p, high);
        p = _mm512_mask_sub_epi16(p, fired, p, high);
        _mm512_mask_storeu_epi16(v + i, valid, p);
        if (!ASKS || fired) {
            const __m512i first = _mm512_add_epi32(lanes, _mm512_set1_epi32(address + i));
            const __m512i second = _mm512_add_epi32(lanes, _mm512_set1_epi32(address + i + 16));
            const __mmask16 here = fired & 0xffff, there = fired >> 16;
            _mm512_storeu_si512(spikes, _mm512_maskz_compress_epi32(here, first));
            spikes += __builtin_popcount(here);
            _mm512_storeu_si512(spikes, _mm512_maskz_compress_epi32(there, second));
            spikes += __builtin_popcount(there);
        }
    }
    return spikes;
}
using Threshold = __m512i;
inline Threshold broadcast(int value) { return _mm512_set1_epi16(static_cast<int16_t>(value)); }

#else

// For each byte, the positions of its set bits.
struct Positions {
    alignas(64) uint8_t of[256][8] = {};
    constexpr Positions() {
        for (int byte = 0; byte < 256; ++byte)
            for (int bit = 0, n = 0; bit < 8; ++bit)
                if (byte >> bit & 1) of[byte][n++] = static_cast<uint8_t>(bit);
    }
};
constexpr Positions positions;

inline int32_t *append(int32_t *spikes, uint32_t byte, int32_t address) {
    const __m128i bits = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(positions.of[byte]));
    const __m256i addresses =
        _mm256_add_epi32(_mm256_cvtepu8_epi32(bits), _mm256_set1_epi32(address));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(spikes), addresses);
    return spikes + __builtin_popcount(byte);
}

inline int32_t *run(int16_t *v, const int8_t *w, int n, int32_t address, __m256i high,
                    __m256i low, int32_t *spikes) {
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i taps =
            _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(w + i)));
        __m256i *place = reinterpret_cast<__m256i *>(v + i);
        __m256i p = _mm256_max_epi16(_mm256_adds_epi16(_mm256_loadu_si256(place), taps), low);
        const __m256i below = _mm256_cmpgt_epi16(high, p);
        _mm256_storeu_si256(place, _mm256_sub_epi16(p, _mm256_andnot_si256(below, high)));
        const __m128i narrow =
            _mm_packs_epi16(_mm256_castsi256_si128(below), _mm256_extracti128_si256(below, 1));
        const uint32_t fired = ~static_cast<uint32_t>(_mm_movemask_epi8(narrow)) & 0xffffu;
        if (!ASKS || fired) {
            spikes = append(spikes, fired & 0xff, address + i);
            spikes = append(spikes, fired >> 8, address + i + 8);
        }
    }
    const int16_t top = static_cast<int16_t>(_mm256_extract_epi16(high, 0));
    const int16_t bottom = static_cast<int16_t>(_mm256_extract_epi16(low, 0));
    for (; i < n; ++i) {
        int p = v[i] + w[i];
        p = p > 32767 ? 32767 : p < bottom ? bottom : p;
        if (p >= top) {
            p -= top;
            *spikes++ = address + i;
        }
        v[i] = static_cast<int16_t>(p);
    }
    return spikes;
}
using Threshold = __m256i;
inline Threshold broadcast(int value) { return _mm256_set1_epi16(static_cast<int16_t>(value)); }

#endif

}  // namespace

// A 3x3 layer with stride 1 and padding 1. Returns how many spikes were written.
// weights: [in][3][3 reversed][out]; events: n rows of (channel, y, x).
extern "C" int64_t play_3x3(const int32_t *events, int64_t n_events, const int8_t *weights,
                            int16_t *state, int32_t rows, int32_t columns, int32_t n_out,
                            int32_t high, int32_t low, int32_t *spikes, int32_t *ends) {
    const Threshold top = broadcast(high), bottom = broadcast(low);
    int32_t *write = spikes;
    for (int64_t event = 0; event < n_events; ++event) {
        const int32_t channel = events[3 * event], y = events[3 * event + 1];
        const int32_t x = events[3 * event + 2];
        const int32_t first_row = y > 0 ? y - 1 : 0, last_row = y + 1 < rows ? y + 1 : rows - 1;
        const int32_t first = x > 0 ? x - 1 : 0, last = x + 1 < columns ? x + 1 : columns - 1;
        for (int32_t row = first_row; row <= last_row; ++row) {
            const int32_t address = (row * columns + first) * n_out;
            const int8_t *taps =
                weights + (((channel * 3 + y + 1 - row) * 3) + (first - x + 1)) * int64_t(n_out);
            write = run(state + address, taps, (last - first + 1) * n_out, address, top, bottom,
                        write);
        }
        ends[event] = static_cast<int32_t>(write - spikes);
    }
    return write - spikes;
}
