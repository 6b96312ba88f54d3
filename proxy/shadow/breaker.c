/* shadow/breaker.c - leaves a shadow alone that fails again and again, and tries it from time to time. */
#include "shadow/breaker.h"

bool breaker_allows(struct breaker *b, struct mono_time now, bool *is_probe)
{
    *is_probe = false;
    if (!breaker_is_open(b))
        return true;
    if (mono_is_before(now, b->retry_at) || (b->is_probing && mono_is_before(now, b->probe_until)))
        return false;
    *is_probe = b->is_probing = true;
    b->probe_until = mono_add_ms(now, BREAKER_PAUSE_MAX_MS);
    return true;
}

bool breaker_on_answer(struct breaker *b)
{
    bool was_open = breaker_is_open(b);
    *b = (struct breaker){ 0 };
    return was_open;
}

/* Others that fail while it is open began before it was: they say nothing new. */
bool breaker_on_failure(struct breaker *b, struct mono_time now, bool is_probe)
{
    bool was_open = breaker_is_open(b);
    if (is_probe)
        b->is_probing = false;
    if (!was_open)
        b->failure_count++;
    if (!breaker_is_open(b) || (was_open && !is_probe))
        return false;
    b->pause_ms = b->pause_ms == 0 ? BREAKER_PAUSE_FIRST_MS : 2 * b->pause_ms;
    if (b->pause_ms > BREAKER_PAUSE_MAX_MS)
        b->pause_ms = BREAKER_PAUSE_MAX_MS;
    b->retry_at = mono_add_ms(now, b->pause_ms);
    return !was_open;
}

void breaker_on_nothing(struct breaker *b, bool is_probe)
{
    if (is_probe)
        b->is_probing = false;
}
