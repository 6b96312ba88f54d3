/* admin/answers.h - what the answers of the API look like, as a second table beside the endpoints. For admin/ only.
 *
 * Each endpoint has a row, and each row that answers with JSON names a shape; openapi.json has both, and
 * tests/e2e/test_openapi.py holds real answers against them, with every member that is not written down as an error. */
#ifndef ADMIN_ANSWERS_H
#define ADMIN_ANSWERS_H

#include "json/json.h"

struct answer_row {
    const char *method, *path; /* as in the endpoints */
    const char *shape;         /* NULL: text */
    const char *content_type;
};

/* NULL: nobody has written it down yet, which a test does not let pass. */
const struct answer_row *answer_find(const char *method, const char *path);

/* Every shape as JSON Schema, by its name. */
void answers_put_shapes(struct json *schemas);

/* The notation of shapes, as JSON Schema of an object into `schema`:

     MEMBERS   name:TYPE name?:TYPE ...           the second may be absent
     TYPE      string integer number boolean time any, red/green/blue (one of these words), @NAME (another shape),
               [TYPE] (a list), {MEMBERS} (an object), <TYPE> (an object of any names)
     TYPE?     null, too; not of lists and objects in place

   Public for tests. */
void shape_write(struct json *schema, const char *members);

#endif
