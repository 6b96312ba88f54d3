/* base/banned.h - calls that are errors everywhere; forced in front of every file by the build.
 *
 * Raw malloc outside base/memory.c is found by scripts/lint instead: poisoning it would break library headers. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is banned either writes without knowing how much room there is (strcpy, strcat, sprintf, gets, alloca), keeps
   state between calls (strtok) or cannot tell a number from nonsense (atoi, atol): slices, arenas and slice_to_u64
   stand in their place. */

/* Macros in some configurations of libc, and a macro cannot be poisoned in silence. */
#undef alloca
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol alloca

#endif
