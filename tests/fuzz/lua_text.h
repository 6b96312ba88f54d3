/* fuzz/lua_text.h - Lua scripts made of arbitrary bytes: each byte chooses a piece of grammar. */
#ifndef TESTS_FUZZ_LUA_TEXT_H
#define TESTS_FUZZ_LUA_TEXT_H

#include "base/slice.h"
#include "base/text.h"

/* What is left of the input; past its end every choice is the first one, so that texts end. */
struct choices {
    struct slice left;
};

unsigned choose(struct choices *c, unsigned count);

/* Appends a script with the hooks on_request and on_response: calls of our API and of the whole library with arguments that
   fit and arguments that do not, loops, coroutines, protected calls, metatables, patterns. It compiles nearly always. */
void lua_text_script(struct choices *c, struct text *out);

#endif
