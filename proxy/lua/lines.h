/* lua/lines.h - which lines of a script can be executed, read from its compiled code.
 *
 * Lua itself tells the lines of a function that exists (lua_getinfo, 'L'), but a function inside another one does not
 * exist before that one ran, and lines of what never ran are the ones to be found. So the compiled code is walked: a
 * line counts when an instruction was made of it. The return that Lua puts behind every function's last statement does
 * not count, since nobody wrote it, and nobody may be able to reach it. (An `end` of a function counts where the code
 * around it makes the function.)
 *
 * Pure. Only for code that this very Lua has dumped with its lines: what cannot be read is a bug, and CHECKed. */
#ifndef LUA_LINES_H
#define LUA_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define LINES_MAX (1u << 20) /* what stands below is not looked at */

/* Embedded; all zero is an empty one. Bit n of `bits` is line n. */
struct line_set {
    uint64_t *bits; /* owned; NULL: nothing is in it */
    uint32_t end;   /* one behind the last line that there is room for; a multiple of 64 */
};

void line_set_fini(struct line_set *s);
void line_set_add(struct line_set *s, uint32_t line);
/* The first line in it that is `from` or behind it; 0: none. */
uint32_t line_set_next(const struct line_set *s, uint32_t from);

static inline bool line_set_has(const struct line_set *s, uint32_t line)
{
    return line < s->end && (s->bits[line / 64] >> (line % 64) & 1) != 0;
}

/* Adds the executable lines of the code, its inner functions included. */
void lines_read(struct slice code, struct line_set *out);

#endif
