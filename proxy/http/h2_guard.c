/* http/h2_guard.c - the bucket of tokens for frames that do no work. */
#include "http/h2_guard.h"

#define TOKEN_US 1000000

static void add(struct h2_guard *g, int64_t tokens_us)
{
    g->tokens_us += tokens_us;
    if (g->tokens_us > g->burst_us)
        g->tokens_us = g->burst_us;
}

void h2_guard_init(struct h2_guard *g, uint32_t burst, uint32_t per_second)
{
    int64_t full_us = (int64_t)burst * TOKEN_US;
    *g = (struct h2_guard){ .tokens_us = full_us, .burst_us = full_us, .per_second = per_second };
}

/* One second at a token a second is 1,000,000 millionths: microseconds need no division. */
void h2_guard_tick(struct h2_guard *g, struct mono_time now)
{
    int64_t passed_us = g->updated.us != 0 ? mono_diff_us(now, g->updated) : 0;
    g->updated = now;
    if (passed_us <= 0 || g->tokens_us < 0)
        return;
    int64_t room_us = g->burst_us - g->tokens_us;
    if (g->per_second > 0 && passed_us > room_us / g->per_second)
        g->tokens_us = g->burst_us;
    else
        add(g, passed_us * g->per_second);
}

bool h2_guard_take(struct h2_guard *g, uint32_t tokens)
{
    if (g->tokens_us < 0)
        return false;
    g->tokens_us -= (int64_t)tokens * TOKEN_US;
    return g->tokens_us >= 0;
}

void h2_guard_earn(struct h2_guard *g, uint32_t tokens)
{
    if (g->tokens_us >= 0)
        add(g, (int64_t)tokens * TOKEN_US);
}
