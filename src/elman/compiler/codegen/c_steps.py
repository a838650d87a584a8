"""What stands around the groups of a kernel: helpers, the loops over the steps, and the door, as C with @places@."""

from .c_group import GIVEN

MOST_PARTS = 32
"""Workers that share the units of a step at most."""

PRELUDE = """\
#include <sched.h>

#define INLINE static inline __attribute__((always_inline))
#define ALONE static __attribute__((noinline)) /* so that its accumulators compete with nothing for registers */

/* The first m entries. */
INLINE vec get(const real *p, int m) { return m == LANES ? v_load(p) : v_load_n(p, m); }
INLINE void put(real *p, vec x, int m) { if (m == LANES) v_store(p, x); else v_store_n(p, x, m); }

INLINE void copy_real(real *to, const real *from, long n) { __builtin_memcpy(to, from, n * sizeof(real)); }
INLINE void copy_char(unsigned char *to, const unsigned char *from, long n) { __builtin_memcpy(to, from, n); }

/* Who does a part of each phase: the one that begins it. Others look at its end alone, in another line of the cache. */
typedef struct { long begun; char apart[120]; long ended; char after[120]; } Claim;
enum { MOST_PARTS = @most@, PATIENCE = 100 };

INLINE int begin(Claim *p, long phase) {
  long before = phase - 1;
  return __atomic_compare_exchange_n(&p->begun, &before, phase, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}
INLINE void end(Claim *p, long phase) { __atomic_store_n(&p->ended, phase, __ATOMIC_RELEASE); }
INLINE int ended(Claim *p, long phase) { return __atomic_load_n(&p->ended, __ATOMIC_ACQUIRE) >= phase; }
INLINE void rest(long turns) {
  if (turns > 20 * PATIENCE) sched_yield();
#if defined(__SSE__) && defined(__GNUC__)
  __builtin_ia32_pause();
#endif
}

/* A piece of scratch memory. */
INLINE char *take(char **scratch, long bytes) {
  char *place = (char *)(((unsigned long)*scratch + 63) & ~63ul);
  *scratch = place + bytes;
  return place;
}

/* Weights of one gate, from [units][along] to [units / (vectors LANES)][along][gates][vectors][LANES]. */
static __attribute__((unused)) void pack(
    real *to, const real *w, long across, long along, long units, long length, long gates, long gate, long vectors) {
  const long step = gates * vectors * LANES;
  for (long u = 0; u < (units + vectors * LANES - 1) / (vectors * LANES) * vectors * LANES; u += LANES) {
    const long tile = u / (vectors * LANES), rest = u % (vectors * LANES), m = units - u < LANES ? units - u : LANES;
    real *place = to + tile * length * step + gate * vectors * LANES + rest;
    const real *from = w + u * across;
    if (m <= 0) {
      for (long k = 0; k < length; k++) v_store(place + k * step, v_set(0));
    } else if (across == 1) {
      for (long k = 0; k < length; k++) v_store(place + k * step, get(from + k * along, m));
    } else if (along == 1) {
      for (long k = 0; k < length; k += LANES) {
        const long deep = length - k < LANES ? length - k : LANES;
        vec v[LANES];
        for (long i = 0; i < LANES; i++) v[i] = i < m ? get(from + i * across + k, deep) : v_set(0);
        v_turn(v);
        for (long i = 0; i < deep; i++) v_store(place + (k + i) * step, v[i]);
      }
    } else {
      for (long k = 0; k < length; k++)
        for (long i = 0; i < LANES; i++) place[k * step + i] = i < m ? from[i * across + k * along] : 0;
    }
  }
}""".replace("@most@", str(MOST_PARTS))

_OPENING = """\
static void block(const Call *c, long number, char *scratch) {
  const long first = c->bounds[number], rows = c->bounds[number + 1] - first;
  Rows w;
  w.order = c->order + first;
  w.row = c->row + first;
  w.block = number;
  @places@
  long n = 0;
  @clear@
"""

_STEP = """\
    w.at = c->at[t];
    w.step = c->first + t;
    w.all = w.step * c->batch;
    w.plain = c->packed ? w.at : w.step;
  @levels@
  @fold at times@
  @turn@
  }
  @fold@
"""

FORWARD_BLOCK = """\
/* All steps for the rows of a block, the longest first; n of them have not ended. */
@opening@
  while (n < rows) load(c, &w, n++);
  for (long t = 0; t < c->steps; t++) {
    while (n > 0 && c->ends && c->ends[first + n - 1] <= c->first + t) save(c, &w, --n);
    if (n == 0) break;
@step@
  while (n > 0) save(c, &w, --n);
}""".replace("@opening@\n", _OPENING).replace("@step@\n", _STEP)

BACKWARD_BLOCK = """\
/* All steps from the last to the first for the rows of a block, the longest first; n of them have begun. */
@opening@
  for (long t = c->steps - 1; t >= 0; t--) {
    while (n < rows && (!c->ends || c->ends[first + n] > c->first + t)) load(c, &w, n++);
    if (n == 0) continue;
@step@
  for (; n < rows; n++) load(c, &w, n);
  while (n > 0) save(c, &w, --n);
}""".replace("@opening@\n", _OPENING).replace("@step@\n", _STEP)

SHARED = """\
/* One level, by all workers, each its part of the units; it is done when this returns. A part that its worker has not
   begun in time, perhaps because the system runs another program there, is taken over by the first worker, who then
   waits for nobody until all are back. */
static void share(Call *c, const Rows *w, long n, long me, long phase, void (*level)(@given@)) {
  if (begin(c->claims + me, phase)) {
    level(c, w, n, me, c->shares);
    end(c->claims + me, phase);
  }
  for (long other = 0; other < c->shares; other++)
    for (long turns = 0; !ended(c->claims + other, phase); turns++) {
      if (me == 0 && turns == c->patience) {
        const int late = begin(c->claims + other, phase);
        c->patience = late ? 0 : PATIENCE;
        if (late) {
          level(c, w, n, other, c->shares);
          end(c->claims + other, phase);
        }
      }
      rest(turns);
    }
}

static void enter(@given@) {
  (void)parts;
  for (long r = 0; part == 0 && r < n; r++) load(call, rows, r);
}

static void leave(@given@) {
  (void)parts;
  for (long r = 0; part == 0 && r < n; r++) save(call, rows, r);
}

/* All steps for all rows, by all workers at once; every row has every step. */
static void shared(Call *c, long me, char *scratch) {
  const long rows = c->bounds[1];
  long phase = 0;
  Rows w;
  w.order = c->order;
  w.row = c->row;
  w.block = 0;
  @places@
  @share clear@
  share(c, &w, rows, me, ++phase, enter);
  for (long @times@) {
    w.at = c->at[t];
    w.step = w.plain = c->first + t;
    w.all = w.step * c->batch;
  @shares@
  @share fold at times@
  @turn@
  }
  @share fold@
  share(c, &w, rows, me, ++phase, leave);
}""".replace("@given@", GIVEN)

LAUNCH = """\
/* Takes blocks of rows until none is left; denormals are flushed meanwhile. */
static void work(void *given) {
  Call *c = (Call *)given;
  const unsigned mode = v_flush();
  const long me = __atomic_fetch_add(&c->next_worker, 1, __ATOMIC_RELAXED);
  char *scratch = c->scratch + me * c->scratch_size;
  if (c->shares) shared(c, me, c->scratch);
  else for (;;) {
    const long b = __atomic_fetch_add(&c->next_block, 1, __ATOMIC_RELAXED);
    if (b >= c->blocks) break;
    block(c, b, scratch);
  }
  v_restore(mode);
}

void run(Call *c) {
  Claim claims[MOST_PARTS] = {0};
  c->claims = claims;
  c->patience = PATIENCE;
  c->next_worker = c->next_block = 0;
  if (c->workers > 1 && c->parallel) c->parallel(work, c, (unsigned)c->workers, 0);
  else work(c);
}"""
