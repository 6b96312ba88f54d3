/* lua/lines.c - which lines of a script can be executed, read from its compiled code. */
#include "lua/lines.h"

#include "base/check.h"
#include "base/memory.h"
#include "lua/bytecode.h"

/* ---- sets ---------------------------------------------------------------------------------------------------------- */

void line_set_fini(struct line_set *s)
{
    memory_free(s->bits);
    *s = (struct line_set){ 0 };
}

void line_set_add(struct line_set *s, uint32_t line)
{
    if (line >= LINES_MAX)
        return;
    if (line >= s->end) {
        uint32_t end = (line / 64 + 1) * 64;
        s->bits = memory_resize_array(s->bits, end / 64, sizeof(*s->bits));
        memset(s->bits + s->end / 64, 0, (end - s->end) / 8);
        s->end = end;
    }
    s->bits[line / 64] |= (uint64_t)1 << (line % 64);
}

uint32_t line_set_next(const struct line_set *s, uint32_t from)
{
    while (from < s->end && !line_set_has(s, from))
        from++;
    return from < s->end ? from : 0;
}

/* ---- the code -------------------------------------------------------------------------------------------------------- */

/* The last instruction is the return that nobody wrote; the first one of a function with `...`, the main one among them, sets its
   arguments up, and no line begins there. */
static void add_lines(const struct bytecode_function *f, struct line_set *out)
{
    for (size_t i = f->has_dots ? 1 : 0; i + 1 < f->instruction_count; i++)
        line_set_add(out, f->lines[i]);
}

void lines_read(struct slice code, struct line_set *out)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct bytecode_function *f = bytecode_read(code, &arena);
    CHECK(f != NULL);
    for (; f != NULL; f = f->next)
        add_lines(f, out);
    arena_reset(&arena);
}
