/* net/layers/proxy/base/upward.c - breaks LAYERS twice on purpose: scripts/test expects both to be named. */
#include "json/value.h"

#include <jansson.h>
