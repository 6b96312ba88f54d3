/* config/describe.h - the configuration described from the table that parses it: JSON Schema and reference.
 *
 * `weir schema` and `weir reference`; docs/schema.json and docs/reference.md are their output, and .ci/run compares.
 * They walk the same rows as the reader, so nothing can be documented that is not read, nor the other way round. */
#ifndef CONFIG_DESCRIBE_H
#define CONFIG_DESCRIBE_H

#include "base/text.h"

void describe_schema(struct text *out);    /* JSON Schema, draft 2020-12 */
void describe_reference(struct text *out); /* Markdown: settings, conditions, units, reasons */

#endif
