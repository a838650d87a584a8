/* C = A B of real matrices: blocks that stay in the caches, and a tile of C in the registers.

   Follows Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008). Wants vector.h first, and
   TILE: the rows of a tile, which is two vectors wide. */

enum { ACROSS = 2 * LANES, DEEP = 256, HIGH = 8 * TILE, WIDE = 16 * ACROSS, ROW = DEEP + 16 };
enum { ROOM_A = HIGH * ROW, ROOM = DEEP * WIDE + ROOM_A }; /* numbers that a worker needs */

typedef struct {
    long rows, columns, depth;            /* C is [rows, columns], A [rows, depth], B [depth, columns] */
    const real *a; long a_row, a_column;  /* how far neighbours lie apart; one of the two is 1 */
    const real *b; long b_row, b_column;  /* likewise */
    real *c; long c_row;
    const real *bias;                     /* a number for each column, or nothing */
    real *room;                           /* ROOM numbers for each worker, at the start of a line */
    long workers, next;
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
} Product;

V_HOT long least(long a, long b) { return a < b ? a : b; }

/* ---- Blocks as a tile reads them ---- */

/* Of A, whose rows are whole: as they are, ROW apart; zeros up to a whole tile. */
static void pack_rows(const real *a, long row, long rows, long depth, real *to)
{
    for (long r = 0; r < (rows + TILE - 1) / TILE * TILE; r++, to += ROW) {
        if (r < rows) __builtin_memcpy(to, a + r * row, depth * sizeof(real));
        else __builtin_memset(to, 0, depth * sizeof(real));
    }
}

/* A few rows at a time of a matrix whose rows are whole, as panels of [depth][wide]: each line of it is read once. */
V_HOT void pack_panels(const real *from, long row, long depth, long count, const int wide, real *to)
{
    for (long first = 0; first < depth; first += 16)
        for (long panel = 0; panel < count; panel += wide)
            for (long k = first; k < least(first + 16, depth); k++) {
                const real *p = from + k * row + panel;
                real *q = to + panel * depth + k * wide;
                if (count - panel >= wide) __builtin_memcpy(q, p, wide * sizeof(real));
                else for (int i = 0; i < wide; i++) q[i] = i < count - panel ? p[i] : 0;
            }
}

/* Of A, whose columns are whole: a panel of [depth][TILE] for each tile. */
static void pack_columns(const real *a, long column, long rows, long depth, real *to)
{
    pack_panels(a, column, depth, rows, TILE, to);
}

/* Of B, whose rows are whole: a panel of [depth][ACROSS] for each tile. */
static void pack_across(const real *b, long row, long depth, long columns, real *to)
{
    pack_panels(b, row, depth, columns, ACROSS, to);
}

/* Of B, whose columns are whole: the same panels. */
static void pack_along(const real *b, long column, long depth, long columns, real *to)
{
    for (long first = 0; first < columns; first += LANES) {
        real *panel = to + first / ACROSS * ACROSS * depth + first % ACROSS;
        for (long k = 0; k < depth; k += LANES) {
            const int deep = least(LANES, depth - k), wide = least(LANES, columns - first);
            const real *from = b + first * column + k;
            vec v[LANES];
            for (int c = 0; c < LANES; c++)
                v[c] = c >= wide ? v_set(0) : deep == LANES ? v_load(from + c * column) : v_load_n(from + c * column, deep);
            v_turn(v);
            for (int i = 0; i < deep; i++) v_store(panel + (k + i) * ACROSS, v[i]);
        }
    }
    if (columns % ACROSS && columns % ACROSS <= LANES)
        for (long k = 0; k < depth; k++) v_store(to + columns / ACROSS * ACROSS * depth + k * ACROSS + LANES, v_set(0));
}

/* ---- A tile ---- */

typedef struct { real *c; long row; int rows, columns; const real *first; long first_row; } Place;

V_HOT void put_tile(vec (*t)[2], Place to)
{
    for (int r = 0; r < to.rows; r++, to.c += to.row, to.first += to.first_row) {
        if (to.columns == ACROSS) {
            v_store(to.c, t[r][0] + v_load(to.first));
            v_store(to.c + LANES, t[r][1] + v_load(to.first + LANES));
            continue;
        }
        const int n = least(LANES, to.columns), m = to.columns - n;
        v_store_n(to.c, t[r][0] + v_load_n(to.first, n), n);
        if (m) v_store_n(to.c + LANES, t[r][1] + v_load_n(to.first + LANES, m), m);
    }
}

#define DEFINE_TILE(name, row, column)                                                                                \
    static __attribute__((noinline)) void name(long depth, const real *a, const real *b, Place to)                    \
    {                                                                                                                 \
        vec t[TILE][2];                                                                                               \
        _Pragma("GCC unroll 16") for (int r = 0; r < TILE; r++) t[r][0] = t[r][1] = v_set(0);                         \
        for (long k = 0; k < depth; k++, a += (column), b += ACROSS) {                                                \
            const vec b0 = v_load(b), b1 = v_load(b + LANES);                                                         \
            _Pragma("GCC unroll 16") for (int r = 0; r < TILE; r++)                                                   \
            {                                                                                                         \
                const vec x = v_set(a[r * (row)]);                                                                    \
                t[r][0] += x * b0;                                                                                    \
                t[r][1] += x * b1;                                                                                    \
            }                                                                                                         \
        }                                                                                                             \
        vec s[TILE][2];                                                                                               \
        _Pragma("GCC unroll 16") for (int r = 0; r < TILE; r++) s[r][0] = t[r][0], s[r][1] = t[r][1];                 \
        put_tile(s, to);                                                                                              \
    }
DEFINE_TILE(tile_of_rows, ROW, 1)
DEFINE_TILE(tile_of_columns, 1, TILE)

static const real ZEROS[ACROSS];

/* The rows from..to of C. */
static void product_rows(const Product *p, long from, long to, real *room)
{
    const int whole_rows = p->a_column == 1;
    const long blocks = (p->depth + DEEP - 1) / DEEP;
    real *a = room, *b = room + ROOM_A;
    for (long j = 0; j < p->columns; j += WIDE)
        for (long n = 0; n < blocks; n++) {
            const long k = p->depth * n / blocks, deep = p->depth * (n + 1) / blocks - k;
            const long wide = least(WIDE, p->columns - j);
            const real *b_from = p->b + k * p->b_row + j * p->b_column;
            if (p->b_column == 1) pack_across(b_from, p->b_row, deep, wide, b);
            else pack_along(b_from, p->b_column, deep, wide, b);
            for (long i = from; i < to; i += HIGH) {
                const long high = least(HIGH, to - i);
                const real *a_from = p->a + i * p->a_row + k * p->a_column;
                if (whole_rows) pack_rows(a_from, p->a_row, high, deep, a);
                else pack_columns(a_from, p->a_column, high, deep, a);
                for (long c = 0; c < wide; c += ACROSS)
                    for (long r = 0; r < high; r += TILE) {
                        Place at = {p->c + (i + r) * p->c_row + j + c, p->c_row, least(TILE, high - r), least(ACROSS, wide - c)};
                        if (n) at.first = at.c, at.first_row = at.row;
                        else at.first = p->bias ? p->bias + j + c : ZEROS;
                        if (whole_rows) tile_of_rows(deep, a + r * ROW, b + c * deep, at);
                        else tile_of_columns(deep, a + r * deep, b + c * deep, at);
                    }
            }
        }
}

/* Parts of the rows until none is left: there may be fewer threads than were asked for. */
static void parts(void *given)
{
    Product *p = given;
    const unsigned mode = v_flush();
    const long tiles = (p->rows + TILE - 1) / TILE;
    for (long n; (n = __atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED)) < p->workers;) {
        const long from = tiles * n / p->workers * TILE, to = tiles * (n + 1) / p->workers * TILE;
        product_rows(p, from, least(p->rows, to), p->room + n * ROOM);
    }
    v_restore(mode);
}

void product(Product *p)
{
    p->next = 0;
    if (p->workers > 1) p->parallel(parts, p, p->workers, 0);
    else parts(p);
}

long product_room(void) { return ROOM; }
