/* Vectors of real numbers and the functions of them that a kernel uses.

   Wants ELMAN_DOUBLE (0 or 1) and ELMAN_VECTOR (bytes of a vector: 64, 32 or 16). Needs no fast-math; on every target
   the same code runs, in the vector extensions of GCC and Clang, so what is tested at one width holds at another.
   Where x is a NaN every function gives a NaN, except v_sign, which gives 0 as torch does.

   The polynomials are minimax ones, found for this file by Remez's exchange in 50 digits, each over the interval that
   its reduction leaves. */

#include <math.h>

#define V_HOT static inline __attribute__((always_inline, unused))
#define V_COLD static __attribute__((noinline, unused))

#if ELMAN_DOUBLE
typedef double real;
typedef __INT64_TYPE__ whole;
typedef long long v_lanes __attribute__((vector_size(ELMAN_VECTOR))); /* as instructions of x86 take a mask */
#define V_PICK(f, d) (d)
#else
typedef float real;
typedef __INT32_TYPE__ whole;
typedef int v_lanes __attribute__((vector_size(ELMAN_VECTOR)));
#define V_PICK(f, d) (f)
#endif

#define LANES (ELMAN_VECTOR / (ELMAN_DOUBLE ? 8 : 4))
typedef real vec __attribute__((vector_size(ELMAN_VECTOR)));
typedef whole mask __attribute__((vector_size(ELMAN_VECTOR))); /* true is all ones */
typedef unsigned char v_bytes __attribute__((vector_size(LANES)));

/* Loops over the lanes of a vector: the compiler makes one instruction of them where there is one. */
#define V_EACH(expression)                                                                                            \
    vec y;                                                                                                            \
    for (int i = 0; i < LANES; i++) y[i] = (expression);                                                              \
    return y

/* ---- Vectors from and to memory ---- */

typedef struct { vec x; } __attribute__((packed, aligned(1), may_alias)) v_anywhere;

V_HOT vec v_load(const real *p) { return ((const v_anywhere *)p)->x; }
V_HOT void v_store(real *p, vec x) { ((v_anywhere *)p)->x = x; }
V_HOT vec v_set(real a) { return a - (vec){0}; } /* -0 + 0 were 0 */

V_HOT mask v_first(int n)
{
    mask lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    return lane < (whole)n;
}

/* The first n lanes, 0 < n <= LANES; memory beyond them is not touched, the lanes beyond them are 0. */
#if ELMAN_VECTOR == 64 && defined __AVX512F__
#if ELMAN_DOUBLE
V_HOT vec v_load_n(const real *p, int n) { return __builtin_ia32_loadupd512_mask(p, (vec){0}, (1 << n) - 1); }
V_HOT void v_store_n(real *p, vec x, int n) { __builtin_ia32_storeupd512_mask(p, x, (1 << n) - 1); }
#else
V_HOT vec v_load_n(const real *p, int n) { return __builtin_ia32_loadups512_mask(p, (vec){0}, (1 << n) - 1); }
V_HOT void v_store_n(real *p, vec x, int n) { __builtin_ia32_storeups512_mask(p, x, (1 << n) - 1); }
#endif
#elif ELMAN_VECTOR == 32 && defined __AVX__
#if ELMAN_DOUBLE
V_HOT vec v_load_n(const real *p, int n) { return __builtin_ia32_maskloadpd256((const vec *)p, (v_lanes)v_first(n)); }
V_HOT void v_store_n(real *p, vec x, int n) { __builtin_ia32_maskstorepd256((vec *)p, (v_lanes)v_first(n), x); }
#else
V_HOT vec v_load_n(const real *p, int n) { return __builtin_ia32_maskloadps256((const vec *)p, v_first(n)); }
V_HOT void v_store_n(real *p, vec x, int n) { __builtin_ia32_maskstoreps256((vec *)p, v_first(n), x); }
#endif
#else
V_HOT vec v_load_n(const real *p, int n)
{
    vec x = {0};
    for (int i = 0; i < LANES; i++) if (i < n) x[i] = p[i];
    return x;
}
V_HOT void v_store_n(real *p, vec x, int n)
{
    for (int i = 0; i < LANES; i++) if (i < n) p[i] = x[i];
}
#endif

/* Lanes p[0], p[stride], ... */
V_HOT vec v_strided(const real *p, long stride, int n)
{
    vec x = {0};
    for (int i = 0; i < LANES; i++) if (i < n) x[i] = p[i * stride];
    return x;
}
V_HOT void v_store_strided(real *p, long stride, vec x, int n)
{
    for (int i = 0; i < LANES; i++) if (i < n) p[i * stride] = x[i];
}

/* ---- LANES vectors as a square: rows become columns ---- */

#ifdef __clang__ /* makes one instruction of such a loop; GCC does not */
V_HOT vec v_pick(vec a, vec b, mask lanes)
{
    V_EACH(lanes[i] < LANES ? a[lanes[i]] : b[lanes[i] - LANES]);
}
#else
V_HOT vec v_pick(vec a, vec b, mask lanes) { return __builtin_shuffle(a, b, lanes); }
#endif

V_HOT void v_turn(vec *v)
{
#pragma GCC unroll 4
    for (int s = LANES / 2; s; s /= 2) {
        mask low, high;
        for (int i = 0; i < LANES; i++) low[i] = i & s ? LANES + i - s : i, high[i] = i & s ? LANES + i : i + s;
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) {
            if (i & s) continue;
            const vec a = v[i], b = v[i + s];
            v[i] = v_pick(a, b, low), v[i + s] = v_pick(a, b, high);
        }
    }
}

/* ---- Denormals: flushed between the two; the second puts back what the first found ---- */

#if defined(__SSE__) && defined(__GNUC__)
V_HOT unsigned v_flush(void)
{
    const unsigned old = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(old | 0x8040);
    return old;
}
V_HOT void v_restore(unsigned old) { __builtin_ia32_ldmxcsr(old); }
#else
V_HOT unsigned v_flush(void) { return 0; }
V_HOT void v_restore(unsigned old) { (void)old; }
#endif

/* ---- Masks: bytes 0 and 1 in memory ---- */

V_HOT mask v_mask_set(int truth) { return (mask){0} - (whole)(truth != 0); }

V_HOT mask v_mask_strided(const unsigned char *p, long stride, int n)
{
    mask m = {0};
    for (int i = 0; i < LANES; i++) if (i < n) m[i] = -(whole)(p[i * stride] != 0);
    return m;
}
V_HOT void v_mask_store_strided(unsigned char *p, long stride, mask m, int n)
{
    for (int i = 0; i < LANES; i++) if (i < n) p[i * stride] = m[i] != 0;
}
/* All lanes at once: each gets the word that its byte is part of, and looks at that byte (of little-endian words). */
V_HOT mask v_mask_load(const unsigned char *p, int n)
{
    whole part[(LANES + sizeof(whole) - 1) / sizeof(whole)] = {0};
    mask words, byte;
    if (n < LANES) return v_mask_strided(p, 1, n);
    __builtin_memcpy(part, p, LANES);
    for (unsigned i = 0; i < LANES; i++) words[i] = part[i / sizeof(whole)];
    for (unsigned i = 0; i < LANES; i++) byte[i] = (whole)(255ull << 8 * (i % sizeof(whole)));
    return (words & byte) != 0;
}
V_HOT void v_mask_store(unsigned char *p, mask m, int n)
{
    v_bytes b = __builtin_convertvector(m & 1, v_bytes);
    if (n < LANES) v_mask_store_strided(p, 1, m, n);
    else __builtin_memcpy(p, &b, LANES);
}

V_HOT vec v_where(mask m, vec a, vec b) { return (vec)(((mask)a & m) | ((mask)b & ~m)); }

V_HOT int v_any(mask m)
{
#if ELMAN_VECTOR == 64 && defined __AVX512DQ__
    return V_PICK(__builtin_ia32_cvtd2mask512, __builtin_ia32_cvtq2mask512)((v_lanes)m) != 0;
#else
    whole any = 0;
    for (int i = 0; i < LANES; i++) any |= m[i];
    return any != 0;
#endif
}

/* ---- Arithmetic that is no operator ---- */

V_HOT vec v_fma(vec a, vec b, vec c) { return a * b + c; } /* one rounding under -ffp-contract=fast */

#define V_SIGN ((mask)v_set((real)-0.0))

V_HOT vec v_neg(vec x) { return -x; }
V_HOT vec v_abs(vec x) { return (vec)((mask)x & ~V_SIGN); }
V_HOT vec v_sign(vec x) { return v_where(x > 0, v_set(1), v_where(x < 0, v_set(-1), v_set(0))); }

/* The square root; the smaller and the larger, b where either is a NaN. GCC makes a comparison and a blend of a loop
   over the lanes when b is constant, and with 64 bytes at times one instruction for each lane. */
#if ELMAN_VECTOR == 64 && defined __AVX512F__
#ifdef __clang__
#define V_512(name, ...) V_PICK(__builtin_ia32_##name##ps512, __builtin_ia32_##name##pd512)(__VA_ARGS__, 4)
#else
#define V_512(name, ...) V_PICK(__builtin_ia32_##name##ps512_mask, __builtin_ia32_##name##pd512_mask)(__VA_ARGS__, (vec){0}, -1, 4)
#endif
V_HOT vec v_sqrt(vec x) { return V_512(sqrt, x); }
V_HOT vec v_least(vec a, vec b) { return V_512(min, a, b); }
V_HOT vec v_most(vec a, vec b) { return V_512(max, a, b); }
#else
V_HOT vec v_sqrt(vec x) { V_EACH(V_PICK(__builtin_sqrtf, __builtin_sqrt)(x[i])); }
#if ELMAN_VECTOR == 32 && defined __AVX__
V_HOT vec v_least(vec a, vec b) { return V_PICK(__builtin_ia32_minps256, __builtin_ia32_minpd256)(a, b); }
V_HOT vec v_most(vec a, vec b) { return V_PICK(__builtin_ia32_maxps256, __builtin_ia32_maxpd256)(a, b); }
#elif ELMAN_VECTOR == 16 && defined __SSE2__
V_HOT vec v_least(vec a, vec b) { return V_PICK(__builtin_ia32_minps, __builtin_ia32_minpd)(a, b); }
V_HOT vec v_most(vec a, vec b) { return V_PICK(__builtin_ia32_maxps, __builtin_ia32_maxpd)(a, b); }
#else
V_HOT vec v_least(vec a, vec b) { V_EACH(a[i] < b[i] ? a[i] : b[i]); }
V_HOT vec v_most(vec a, vec b) { V_EACH(a[i] > b[i] ? a[i] : b[i]); }
#endif
#endif
V_HOT vec v_minimum(vec a, vec b) { return v_where(a != a, a, v_least(a, b)); }
V_HOT vec v_maximum(vec a, vec b) { return v_where(a != a, a, v_most(a, b)); }

/* Adding V_SHIFT rounds to the nearest whole number and leaves it in the last bits of the significand. */
#define V_DIGITS V_PICK(23, 52)
#define V_SHIFT V_PICK(0x1.8p23f, 0x1.8p52)

V_HOT vec v_floor(vec x)
{
#if ELMAN_VECTOR == 64 && defined __AVX512F__
    return V_PICK(__builtin_ia32_rndscaleps_mask, __builtin_ia32_rndscalepd_mask)(x, 1, (vec){0}, -1, 4);
#elif defined __SSE2__ && !defined __SSE4_1__
    const real whole_above = V_PICK(0x1p23f, 0x1p52);
    vec a = v_abs(x), n = (vec)((mask)((a + whole_above) - whole_above) | ((mask)x & V_SIGN));
    return v_where(a < whole_above, v_where(n > x, n - 1, n), x);
#else
    V_EACH(V_PICK(__builtin_floorf, __builtin_floor)(x[i]));
#endif
}

#if ELMAN_DOUBLE
typedef float v_narrow __attribute__((vector_size(ELMAN_VECTOR / 2)));
V_HOT vec v_float(vec x) { return __builtin_convertvector(__builtin_convertvector(x, v_narrow), vec); }
#else
V_HOT vec v_float(vec x) { return x; }
#endif

/* c[0] + c[1] x + c[2] x^2 + ..., the even powers beside the odd ones: half as long a chain as Horner's. */
V_HOT vec v_polynomial(vec x, const real *c, int terms)
{
    vec x2 = x * x, last = v_set(c[terms - 1]), other = v_set(c[terms - 2]);
    for (int k = terms - 3; k >= 0; k--) {
        vec next = v_fma(last, x2, v_set(c[k]));
        last = other;
        other = next;
    }
    return v_fma(last, x, other);
}
#define V_POLYNOMIAL(x, c) v_polynomial(x, c, sizeof(c) / sizeof(real))

/* ---- exp and its family ----

   x = n ln 2 + r with n whole, |r| <= ln 2 / 2 (Cody and Waite: ln 2 in two parts, the first so short that n times it
   is exact), and e^r - 1 = r + r^2 P(r). n stands in the last bits of x log2(e) + V_SHIFT, from where one shift puts it
   into the exponent. */

static const real V_EXP[] = {
#if ELMAN_DOUBLE
    5.00000000000000555e-01, 1.66666666666666852e-01, 4.16666666665726770e-02, 8.33333333331445943e-03,
    1.38888889327538120e-03, 1.98412699034117751e-04, 2.48015039384983884e-05, 2.75572275406097144e-06,
    2.76265462430496582e-07, 2.51146239602397965e-08
#else
    5.000000000e-01f, 1.666654199e-01f, 4.166628048e-02f, 8.366696537e-03f, 1.394667313e-03f
#endif
};

#define V_BIAS V_PICK(127, 1023)
#define V_LN2_HIGH V_PICK(0x1.62ep-1f, 0x1.62e42fefa38p-1)
#define V_LN2_LOW V_PICK(0x1.0bfbe8p-15f, 0x1.ef35793c7673p-45)
#define V_LOG2E V_PICK(1.44269504f, 1.4426950408889634)
#define V_EXP_LOW V_PICK(-104.5f, -746) /* e^x is 0 below and infinite above */
#define V_EXP_HIGH V_PICK(89, 710)

typedef struct {
    vec scale, rest; /* e^x = scale (1 + rest) / 2^k */
} v_parts;

/* For whole k with 2^(n + k) a normal number. */
V_HOT v_parts v_exp_parts(vec x, vec k)
{
    vec shift = V_SHIFT + V_BIAS + k, shifted = v_fma(x, v_set(V_LOG2E), shift), n = shifted - shift;
    vec r = v_fma(n, v_set(-V_LN2_LOW), v_fma(n, v_set(-V_LN2_HIGH), x));
    return (v_parts){(vec)((mask)shifted << V_DIGITS), v_fma(r * r, V_POLYNOMIAL(r, V_EXP), r)};
}

/* NaN stays NaN: v_least and v_most give their second argument then. */
V_HOT vec v_clamp(vec x, real low, real high) { return v_least(v_set(high), v_most(v_set(low), x)); }

/* e^x spans more exponents than one number has: k keeps the scale in the middle of them. */
V_HOT vec v_exp(vec x)
{
    mask below = x < 0;
    vec k = v_where(below, v_set(V_PICK(64, 512)), v_set(V_PICK(-64, -512)));
    v_parts e = v_exp_parts(v_clamp(x, V_EXP_LOW, V_EXP_HIGH), k);
    vec back = v_where(below, v_set(V_PICK(0x1p-64f, 0x1p-512)), v_set(V_PICK(0x1p64f, 0x1p512)));
    return v_fma(e.scale, e.rest, e.scale) * back;
}

#define V_TINY V_PICK(0x1p-30f, 0x1p-60) /* f(x) = x to the last digit below, for each f that is used with it */

/* (e^x - 1) / 2, whose scale is finite as long as e^x is; x itself where it is tiny, for denormals and -0. */
V_HOT vec v_expm1(vec x)
{
    v_parts e = v_exp_parts(v_clamp(x, -50, V_EXP_HIGH), v_set(-1));
    vec half = v_fma(e.scale, e.rest, e.scale - (real)0.5);
    return v_where(v_abs(x) < V_TINY, x, half + half);
}

/* 1 / (1 + e^-x), both parts of the quotient times 2^k, which keeps e^-x finite until 1 / e^-x is 0. */
V_HOT vec v_sigmoid(vec x)
{
    v_parts e = v_exp_parts(-v_clamp(x, V_EXP_LOW, 50), v_set(V_PICK(-32, -60)));
    vec one = v_set(V_PICK(0x1p-32f, 0x1p-60));
    return one / (one + v_fma(e.scale, e.rest, e.scale));
}

#if ELMAN_DOUBLE
/* (E - 1) / (E + 1), E = e^2x: no digits are lost near 0. The sign once more, for -0. */
V_HOT vec v_tanh(vec x)
{
    vec a = v_clamp(x, -19.1, 19.1); /* tanh is 1 to the last digit beyond */
    v_parts e = v_exp_parts(a + a, v_set(0));
    vec t = v_fma(e.scale, e.rest, e.scale - 1) / v_fma(e.scale, e.rest, e.scale + 1);
    return (vec)((mask)t | ((mask)x & V_SIGN));
}
#else
static const real V_TANH_UPPER[] = {1.039399266e+00f, 1.390686929e-01f, 3.631696803e-03f, 2.139445132e-05f,
                                    1.384382742e-08f};
static const real V_TANH_LOWER[] = {1.039399266e+00f, 4.855349362e-01f, 2.689037472e-02f, 3.412443912e-04f,
                                    8.067831345e-07f};

/* x P(x^2) / Q(x^2), off by 2e-8 of itself before rounding. In float it takes two thirds of the time of the quotient
   above and rounds to 5 units of the last place instead of 2.8. P(0) = Q(0), for x near 0; rounding
   must not carry it beyond 1. The coefficients' last digits are the best of some thousand tried. */
V_HOT vec v_tanh(vec x)
{
    vec a = v_clamp(x, -9.02f, 9.02f), a2 = a * a; /* tanh is 1 to the last digit beyond */
    return v_clamp(a * V_POLYNOMIAL(a2, V_TANH_UPPER) / V_POLYNOMIAL(a2, V_TANH_LOWER), -1, 1);
}
#endif

/* ---- log ----

   x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and with s = f / (2 + f)
   log(1 + f) = 2 artanh(s) = f - f^2/2 + s (f^2/2 + s^2 R(s^2)), the form of fdlibm (Sun Microsystems, e_log.c, 1993),
   in which what is rounded is small beside the result. */

static const real V_LOG[] = {
#if ELMAN_DOUBLE
    6.66666666666673069e-01, 3.99999999994299749e-01, 2.85714287398792399e-01, 2.22221987654728281e-01,
    1.81835569420550042e-01, 1.53141851464153045e-01, 1.47950623018234112e-01
#else
    6.666666269e-01f, 4.000033438e-01f, 2.853735387e-01f, 2.358194590e-01f
#endif
};

/* k ln 2 + log(1 + f) + c for a small correction c. */
V_HOT vec v_log_of_parts(vec k, vec f, vec c)
{
    vec s = f / (f + 2), s2 = s * s, half = (real)0.5 * f * f;
    vec rest = s * (half + s2 * V_POLYNOMIAL(s2, V_LOG)) + (k * V_LN2_LOW + c);
    return k * V_LN2_HIGH - ((half - rest) - f);
}

/* k of a positive normal x; *f becomes the f. */
V_HOT vec v_log_parts(vec x, vec *f)
{
    typedef __typeof__(V_PICK(0u, 0ull)) bits __attribute__((vector_size(ELMAN_VECTOR)));
    const bits one = (bits)v_set(1), root = (bits)v_set(V_PICK(0x1.6a09e6p-1f, 0x1.6a09e667f3bcdp-1));
    bits b = (bits)x + (one - root);
    *f = (vec)((b & ((bits)v_set(V_PICK(0x1p-126f, 0x1p-1022)) - 1)) + root) - 1;
    vec base = v_set(V_PICK(0x1p23f, 0x1p52)); /* its last bits take a whole number: the quick way to a vec */
    return (vec)((b >> V_DIGITS) | (bits)base) - (base + V_BIAS);
}

/* y, or what a logarithm is where x is no positive finite number. */
V_HOT vec v_log_edges(vec x, vec y)
{
    y = v_where(x < v_set(V_PICK(__builtin_inff(), __builtin_inf())), y, x);
    y = v_where(x < 0, v_set(V_PICK(__builtin_nanf(""), __builtin_nan(""))), y);
    return v_where(x == 0, v_set(-V_PICK(__builtin_inff(), __builtin_inf())), y);
}

V_HOT vec v_log(vec x)
{
    mask small = x < V_PICK(0x1p-126f, 0x1p-1022);
    vec f, k = v_log_parts(v_where(small, x * V_PICK(0x1p32f, 0x1p64), x), &f);
    k -= v_where(small, v_set(V_PICK(32, 64)), v_set(0));
    return v_log_edges(x, v_log_of_parts(k, f, v_set(0)));
}

/* log(u), u = 1 + x rounded, and c / u for the c that the rounding lost; f = x where u needs no power of two. */
V_HOT vec v_log1p(vec x)
{
    vec u = 1 + x, f, k = v_log_parts(u, &f);
    vec c = v_where(x < 1, x - (u - 1), 1 - (u - x)) / u;
    vec y = v_log_of_parts(k, v_where(k == 0, x, f), v_where(k == 0, v_set(0), c));
    return v_where(v_abs(x) < V_TINY, x, v_log_edges(u, y));
}

/* ---- sin and cos ----

   x = n pi/2 + r, pi/2 in parts so short that n times each is exact for |x| <= V_TURNS; the C library beyond.
   sin r = r + r^3 S(r^2), cos r = 1 - r^2/2 + r^4 C(r^2). */

static const real V_SIN[] = {
#if ELMAN_DOUBLE
    -1.66666666666666324e-01, 8.33333333332234721e-03, -1.98412698297249258e-04, 2.75573136558766754e-06,
    -2.50507515807417603e-08, 1.58963743543699750e-10
#else
    -1.666665524e-01f, 8.332171477e-03f, -1.951631857e-04f
#endif
};
static const real V_COS[] = {
#if ELMAN_DOUBLE
    4.16666666666666019e-02, -1.38888888888739643e-03, 2.48015872893634100e-05, -2.75573143136069005e-07,
    2.08757174991318512e-09, -1.13593257407102530e-11
#else
    4.166664556e-02f, -1.388735604e-03f, 2.443710946e-05f
#endif
};
static const real V_HALF_PI[] = {
#if ELMAN_DOUBLE
    0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69
#else
    0x1.922p+0f, -0x1.2aep-18f, -0x1.deap-31f, 0x1.184698p-44f
#endif
};
#define V_TURNS V_PICK(6000, 1e6)

V_COLD vec v_sin_far(vec x) { V_EACH(V_PICK(sinf, sin)(x[i])); }
V_COLD vec v_cos_far(vec x) { V_EACH(V_PICK(cosf, cos)(x[i])); }

/* sin(x + quarter pi/2), |x| <= V_TURNS. */
V_HOT vec v_sin_near(vec x, int quarter)
{
    vec shifted = v_fma(x, v_set(V_PICK(0.636619772f, 0.63661977236758134)), v_set(V_SHIFT)), n = shifted - V_SHIFT;
    vec r = x;
    for (unsigned i = 0; i < sizeof(V_HALF_PI) / sizeof(real); i++) r = v_fma(n, v_set(-V_HALF_PI[i]), r);
    vec r2 = r * r;
    vec s = v_fma(r * r2, V_POLYNOMIAL(r2, V_SIN), r);
    vec c = v_fma(r2 * r2, V_POLYNOMIAL(r2, V_COS), 1 - (real)0.5 * r2);
    mask q = (mask)shifted + quarter;
    vec y = v_where((q & 1) != 0, c, s);
    return (vec)((mask)y ^ ((q << (V_PICK(32, 64) - 2)) & V_SIGN));
}

V_HOT vec v_sin(vec x)
{
    if (v_any(~(v_abs(x) <= V_TURNS))) return v_sin_far(x);
    return v_where(v_abs(x) < V_TINY, x, v_sin_near(x, 0));
}
V_HOT vec v_cos(vec x)
{
    if (v_any(~(v_abs(x) <= V_TURNS))) return v_cos_far(x);
    return v_sin_near(x, 1);
}

/* ---- Functions left to the C library, lane by lane ---- */

V_COLD vec v_erf(vec x) { V_EACH(V_PICK(erff, erf)(x[i])); }
V_COLD vec v_pow(vec a, vec b) { V_EACH(V_PICK(powf, pow)(a[i], b[i])); }

/* ---- Over all lanes ---- */

V_HOT vec v_swap(vec x, int distance)
{
    mask lanes;
    for (int i = 0; i < LANES; i++) lanes[i] = i ^ distance;
    return v_pick(x, x, lanes);
}

/* Lanes a half, a quarter, ... of the vector apart, until each lane holds the sum: one order on all compilers. */
V_HOT real v_sum(vec x)
{
    if (LANES > 8) x += v_swap(x, 8);
    if (LANES > 4) x += v_swap(x, 4);
    if (LANES > 2) x += v_swap(x, 2);
    return (x + v_swap(x, 1))[0];
}
V_HOT real v_max(vec x)
{
    if (LANES > 8) x = v_maximum(x, v_swap(x, 8));
    if (LANES > 4) x = v_maximum(x, v_swap(x, 4));
    if (LANES > 2) x = v_maximum(x, v_swap(x, 2));
    return v_maximum(x, v_swap(x, 1))[0];
}
