/* stats/drill.c - a drill's requests: what each is to come to, as the text of a header field. */
#include "stats/drill.h"

static void outcome_write(const struct drill_outcome *o, struct text *out)
{
    text_printf(out, " %u %llu %u", o->status, (unsigned long long)o->latency_us, o->events);
}

void drill_request_write(const char token[DRILL_TOKEN_BYTES + 1], const struct drill_request *request, struct text *out)
{
    text_add_cstr(out, token);
    for (unsigned arm = 0; arm < TALLY_ARM_COUNT; arm++)
        outcome_write(&request->arms[arm], out);
}

/* Behind its blank; the rest begins with the next one. */
static bool number_take(struct slice *rest, uint64_t most, uint64_t *out)
{
    if (!slice_has_prefix(*rest, SLICE(" ")))
        return false;
    *rest = slice_after(*rest, 1);
    struct slice digits = slice_first(*rest, slice_find(*rest, ' '));
    *rest = slice_after(*rest, digits.len);
    return slice_to_u64(digits, out) && *out <= most;
}

static bool outcome_take(struct slice *rest, struct drill_outcome *out)
{
    uint64_t status, latency_us, events;
    if (!number_take(rest, 599, &status) || !number_take(rest, DRILL_LATENCY_MOST, &latency_us) ||
        !number_take(rest, (1u << TALLY_EVENT_COUNT) - 1, &events) || (status != 0 && status < 200))
        return false;
    *out = (struct drill_outcome){ (uint16_t)status, latency_us, (uint32_t)events };
    return true;
}

/* All of it, whatever differs. */
static bool is_token(struct slice value, const char *token)
{
    unsigned different = token[0] == '\0';
    for (unsigned i = 0; i < DRILL_TOKEN_BYTES; i++)
        different |= (unsigned char)(value.ptr[i] ^ token[i]);
    return different == 0;
}

bool drill_request_read(struct slice value, const char token[DRILL_TOKEN_BYTES + 1], struct drill_request *out)
{
    if (value.len <= DRILL_TOKEN_BYTES || !is_token(value, token))
        return false;
    struct slice rest = slice_after(value, DRILL_TOKEN_BYTES);
    for (unsigned arm = 0; arm < TALLY_ARM_COUNT; arm++)
        if (!outcome_take(&rest, &out->arms[arm]))
            return false;
    return rest.len == 0;
}

uint32_t drill_columns(const struct tally_sheet *sheet, const struct drill_outcome *outcome)
{
    uint32_t columns = outcome->events << TALLY_EVENTS;
    if (outcome->status == 0)
        columns |= 1u << TALLY_ERRORS | 1u << TALLY_CONNECT_FAILURES;
    else if (sheet_is_error(sheet, outcome->status))
        columns |= 1u << TALLY_ERRORS;
    return columns;
}
