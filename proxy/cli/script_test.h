/* cli/script_test.h - what `weir script test` was asked for, and how its report is written. */
#ifndef CLI_SCRIPT_TEST_H
#define CLI_SCRIPT_TEST_H

#include "lua/test_run.h"

#include "base/text.h"

struct script_test_values {
    const char *filter;
    const char *min_coverage; /* "80%"; NULL: none is asked for */
    int64_t timeout_ms, budget_ms;
    bool is_json;
};

/* What a file of hooks must have, in hundredths of a percent (basis points); 0: nothing is asked for. */
bool script_report_is_good(const struct test_report *report, uint32_t min_coverage_bp);
/* Rounded down, so that 100 % means all of them. A file without a line has 100 %. */
uint32_t script_report_coverage_bp(const struct test_coverage *c);

/* For people. */
void script_report_print(const struct test_report *report, uint32_t min_coverage_bp, bool coloured, struct text *out);
void script_report_json(const struct test_report *report, uint32_t min_coverage_bp, struct text *out);

#endif
