/* base/check.h - assertions that stay on in production, and magic numbers.
 *
 * A failed check means that this program is wrong, and that going on would make it worse: it says where and aborts,
 * and the workers go down with it. So it never tests what a peer or an operator may do: the one gets a row of
 * base/reasons.def, the other an error with a place (base/err.h). Of what the system may refuse it tests only what
 * nobody can go on without: memory (R10), randomness, threads. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdint.h>

/* Prints "FILE:LINE: check failed: EXPRESSION" to stderr and aborts. A failed check is a bug of ours, never a peer's
   doing. */
_Noreturn void check_failed(const char *file, int line, const char *expression);

/* The condition is evaluated in every build, so it may do the work that it checks. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0))                                                                         \
            check_failed(__FILE__, __LINE__, #condition);                                                              \
    } while (0)

/* Every struct that crosses a callback starts with `uint32_t magic`; functions check it on entry (design.md R11). */
#define CHECK_MAGIC(object, expected) CHECK((object) != NULL && (object)->magic == (expected))

/* Takes ownership out of a caller's pointer: yields its value and leaves NULL behind. */
#define TAKE(pointer_to_pointer)                                                                                       \
    __extension__({                                                                                                    \
        __typeof__(*(pointer_to_pointer)) taken_ = *(pointer_to_pointer);                                              \
        *(pointer_to_pointer) = NULL;                                                                                  \
        taken_;                                                                                                        \
    })

/* Of a function whose result says whether the caller may go on. */
#define MUST_CHECK                           __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

/* From a pointer to a member back to the struct it is embedded in. */
#define CONTAINER_OF(member_pointer, type, member)                                                                     \
    ((type *)(void *)((char *)(member_pointer) - __builtin_offsetof(type, member)))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
