/* net/test_net.c - faults on purpose: scripts/test must catch each, though Criterion passes them all. */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdlib.h>

Test(net, a_leak_passes_criterion)
{
    void *volatile block = malloc(41);
    cr_assert(block != NULL);
    block = NULL;
}

Test(net, an_overflow_passes_criterion)
{
    volatile int big = INT_MAX;
    big = big + 1;
    cr_assert(big != 0);
}
