/* lua/builtin.c - the modules of the binary: weir.NAME, from scripts/lib/NAME.lua. */
#include "lua/builtin.h"

#include <stddef.h>

#include "base/check.h"

static const struct {
    struct slice name, text;
} modules[] = {
#include "lua/builtin_modules.h" /* made by the build */
};

bool builtin_find(struct slice name, struct slice *text)
{
    for (size_t i = 0; i < ARRAY_COUNT(modules); i++)
        if (slice_equal(modules[i].name, name)) {
            *text = modules[i].text;
            return true;
        }
    return false;
}
