/* cli/problems.h - prints what is wrong with a configuration: every problem, in file order. */
#ifndef CLI_PROBLEMS_H
#define CLI_PROBLEMS_H

#include "base/err.h"

/* To stderr, sorted, one line each: "FILE:LINE:COL: message". Compilers' form, so that editors jump there. Errors and warnings alike; the
   caller decides what either means. Sorts the list in place. */
void problems_print(struct err_list *errors);

#endif
