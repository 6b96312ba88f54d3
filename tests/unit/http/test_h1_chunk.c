/* unit/http/test_h1_chunk.c - chunk sizes, extensions, the line ends between chunks, and trailers. */
#include "http/table.h"

#include <criterion/criterion.h>

#define HEAD    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
#define POST    "POST / 1.1 @h chunked keep"
#define BAD     POST " ERROR MALFORMED"
#define BAD_HI  POST " \"hi\" ERROR MALFORMED"
#define BYTES60 "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"

Test(h1_chunk, sizes_are_hexadecimal)
{
    static const struct row rows[] = {
        { "one chunk", BYTES(HEAD "2\r\nhi\r\n0\r\n\r\n"), POST " \"hi\" END" },
        { "three chunks", BYTES(HEAD "2\r\nhi\r\n1\r\n \r\n3\r\nyou\r\n0\r\n\r\n"), POST " \"hi you\" END" },
        { "letters of both cases", BYTES(HEAD "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
          POST " \"01234567890123456789\" END" },
        { "two digits", BYTES(HEAD "1e\r\n012345678901234567890123456789\r\n0\r\n\r\n"),
          POST " \"012345678901234567890123456789\" END" },
        { "line ends as data", BYTES(HEAD "4\r\n\r\n\r\n\r\n0\r\n\r\n"), POST " \"\\x0d\\x0a\\x0d\\x0a\" END" },
        { "leading zeros", BYTES(HEAD "0000000000000002\r\nhi\r\n0\r\n\r\n"), POST " \"hi\" END" },
        { "many zeros at the end", BYTES(HEAD "2\r\nhi\r\n0000\r\n\r\n"), POST " \"hi\" END" },
        { "seventeen digits", BYTES(HEAD "00000000000000002\r\nhi\r\n0\r\n\r\n"), BAD },
        { "highest", BYTES(HEAD "7fffffffffffffff\r\nhi"), POST " \"hi\" ..." },
        { "above the highest", BYTES(HEAD "8000000000000000\r\nhi"), BAD },
        { "no digit", BYTES(HEAD "\r\nhi"), BAD },
        { "not hexadecimal", BYTES(HEAD "g\r\nhi"), BAD },
        { "0x", BYTES(HEAD "0x2\r\nhi"), BAD },
        { "plus", BYTES(HEAD "+2\r\nhi"), BAD },
        { "minus", BYTES(HEAD "-2\r\nhi"), BAD },
        { "leading space", BYTES(HEAD " 2\r\nhi"), BAD },
        { "trailing space", BYTES(HEAD "2 \r\nhi"), BAD },
        { "trailing tab", BYTES(HEAD "2\t\r\nhi"), BAD },
        { "two sizes", BYTES(HEAD "2 2\r\nhi"), BAD },
        { "comma", BYTES(HEAD "2,\r\nhi"), BAD },
        { "underscore", BYTES(HEAD "1_0\r\nhi"), BAD },
        { "NUL", BYTES(HEAD "2\0\r\nhi"), BAD },
        { "refused before the line ends", BYTES(HEAD "2x"), BAD },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_chunk, line_ends_are_crlf)
{
    static const struct row rows[] = {
        { "bare LF behind a size", BYTES(HEAD "2\nhi\r\n0\r\n\r\n"), BAD },
        { "bare CR behind a size", BYTES(HEAD "2\rhi\r\n0\r\n\r\n"), BAD },
        { "two CR behind a size", BYTES(HEAD "2\r\r\nhi"), BAD },
        { "bare LF behind data", BYTES(HEAD "2\r\nhi\n0\r\n\r\n"), BAD_HI },
        { "bare CR behind data", BYTES(HEAD "2\r\nhi\r0\r\n\r\n"), BAD_HI },
        { "nothing behind data", BYTES(HEAD "2\r\nhi0\r\n\r\n"), BAD_HI },
        { "data longer than its size", BYTES(HEAD "2\r\nhi!\r\n0\r\n\r\n"), BAD_HI },
        { "data shorter than its size", BYTES(HEAD "3\r\nhi\r\n0\r\n\r\n"), POST " \"hi\\x0d\" ERROR MALFORMED" },
        { "bare LF at the end", BYTES(HEAD "0\r\n\n"), BAD },
        { "bare LF behind the last size", BYTES(HEAD "0\n\r\n"), BAD },
        { "incomplete end", BYTES(HEAD "2\r\nhi\r\n0\r\n\r"), POST " \"hi\" ..." },
        { "a request behind", BYTES(HEAD "0\r\n\r\n" HEAD "0\r\n\r\n"), POST " END / " POST " END" },
        { "data behind the end", BYTES(HEAD "0\r\n\r\n(x"), POST " END ERROR MALFORMED" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_chunk, extensions_are_checked_and_dropped)
{
    static const struct row rows[] = {
        { "name", BYTES(HEAD "2;a\r\nhi\r\n0;b\r\n\r\n"), POST " \"hi\" END" },
        { "name and value", BYTES(HEAD "2;a=b;c=d\r\nhi\r\n0\r\n\r\n"), POST " \"hi\" END" },
        { "quoted value", BYTES(HEAD "2;a=\"b;\\\"=\tc\"\r\nhi\r\n0\r\n\r\n"), POST " \"hi\" END" },
        { "white space allowed by RFC 9112", BYTES(HEAD "2 ; a = b ;c\t=\td\r\nhi\r\n0\r\n\r\n"), POST " \"hi\" END" },
        { "empty", BYTES(HEAD "2;\r\nhi"), BAD },
        { "empty second", BYTES(HEAD "2;a;\r\nhi"), BAD },
        { "no value", BYTES(HEAD "2;a=\r\nhi"), BAD },
        { "no name", BYTES(HEAD "2;=b\r\nhi"), BAD },
        { "trailing space", BYTES(HEAD "2;a \r\nhi"), BAD },
        { "open quote", BYTES(HEAD "2;a=\"b\r\nhi"), BAD },
        { "quote ends in a backslash", BYTES(HEAD "2;a=\"b\\\"\r\nhi"), BAD },
        { "behind the quote", BYTES(HEAD "2;a=\"b\"c\r\nhi"), BAD },
        { "delimiter in a name", BYTES(HEAD "2;a(b\r\nhi"), BAD },
        { "bare LF", BYTES(HEAD "2;a\nhi"), BAD },
        { "bare CR", BYTES(HEAD "2;a\rb\r\nhi"), BAD },
        { "NUL", BYTES(HEAD "2;a\0\r\nhi"), BAD },
        { "256 bytes", BYTES(HEAD "2;a" BYTES60 BYTES60 BYTES60 BYTES60 "01234567890123\r\nhi\r\n0\r\n\r\n"),
          POST " \"hi\" END" },
        { "257 bytes", BYTES(HEAD "2;a" BYTES60 BYTES60 BYTES60 BYTES60 "012345678901234\r\nhi\r\n0\r\n\r\n"), BAD },
        { "endless", BYTES(HEAD "2;a" BYTES60 BYTES60 BYTES60 BYTES60 BYTES60), BAD },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_chunk, trailers_are_lines_like_any_other)
{
    static const struct row rows[] = {
        { "two", BYTES(HEAD "2\r\nhi\r\n0\r\nA: b\r\nC:\r\n\r\n"), POST " \"hi\" +{A: b|C: } END" },
        { "then a request", BYTES(HEAD "0\r\nA: b\r\n\r\n" HEAD "0\r\n\r\n"), POST " +{A: b} END / " POST " END" },
        { "incomplete", BYTES(HEAD "0\r\nA: b\r\n"), POST " ..." },
        { "folded", BYTES(HEAD "0\r\nA: b\r\n c\r\n\r\n"), BAD },
        { "leading space", BYTES(HEAD "0\r\n A: b\r\n\r\n"), BAD },
        { "space before the colon", BYTES(HEAD "0\r\nA : b\r\n\r\n"), BAD },
        { "no colon", BYTES(HEAD "0\r\nhello\r\n\r\n"), BAD },
        { "bare LF", BYTES(HEAD "0\r\nA: b\n\r\n"), BAD },
        { "control", BYTES(HEAD "0\r\nA: \x01"), BAD },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_chunk, trailers_have_the_limits_of_heads)
{
    static const struct h1_limits small = { .request_line_bytes = 40, .head_bytes = 60, .field_count = 3 };
    static const struct row rows[] = {
        { "three", BYTES(HEAD "0\r\nA:\r\nB:\r\nC:\r\n\r\n"), POST " +{A: |B: |C: } END" },
        { "four", BYTES(HEAD "0\r\nA:\r\nB:\r\nC:\r\nD:\r\n"), POST " ERROR HEADERS_TOO_LARGE" },
        { "60 bytes", BYTES(HEAD "0\r\nA:01234567890123456789012345678901234567890123456789012345\r\n\r\n"),
          POST " +{A: 01234567890123456789012345678901234567890123456789012345} END" },
        { "61 bytes", BYTES(HEAD "0\r\nA:012345678901234567890123456789012345678901234567890123456\r\n\r\n"),
          POST " ERROR HEADERS_TOO_LARGE" },
        { "endless", BYTES(HEAD "0\r\nA:" BYTES60), POST " ERROR HEADERS_TOO_LARGE" },
    };
    TABLE_CHECK(&(struct feed){ .limits = &small }, rows);
}
