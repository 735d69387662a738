#include "proto/reflection.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "tests/test.h"

#include <string.h>

/* Whether the answer to a request has these bytes. */
static bool answers(const char *request, size_t n_bytes, const char *bytes)
{
    struct bytes out = {0};
    struct arena scratch = {0};
    struct error err = {0};
    CHECK(reflection_answer(&out, &scratch, request, n_bytes, &err));
    const bool has = memmem(out.data, out.len, bytes, strlen(bytes)) != NULL;
    bytes_release(&out);
    arena_release(&scratch);
    return has;
}
#define ANSWERS(request, bytes) answers(request, sizeof(request) - 1, bytes)

TEST(services_are_listed_by_their_whole_names)
{
    CHECK(ANSWERS("\x3a\x00", "phalanx.v1.Inference"));
    CHECK(ANSWERS("\x3a\x00", "grpc.health.v1.Health"));
    CHECK(ANSWERS("\x3a\x00", "grpc.reflection.v1alpha.ServerReflection"));
}

TEST(a_file_is_found_by_its_name)
{
    CHECK(ANSWERS("\x1a\x0dphalanx.proto", "GenerateRequest"));
    CHECK(ANSWERS("\x1a\x0cphalanx.prot", "no such file"));
    CHECK(ANSWERS("\x1a\x0fphalanx.proto.x", "no such file"));
}

TEST(a_file_is_found_by_what_is_in_it)
{
    CHECK(ANSWERS("\x22\x14phalanx.v1.Inference", "GenerateRequest"));
    CHECK(ANSWERS("\x22\x1dphalanx.v1.Inference.Generate", "GenerateRequest"));
    CHECK(ANSWERS("\x22\x13phalanx.v1.Sampling", "GenerateRequest"));
    CHECK(ANSWERS("\x22\x12phalanx.v1.Samplin", "no such symbol"));
    CHECK(ANSWERS("\x22\x0aphalanx.v1", "no such symbol"));
    CHECK(ANSWERS("\x22\x00", "no such symbol"));
}

TEST(the_question_comes_back_with_the_answer) { CHECK(ANSWERS("\x0a\x04host\x1a\x01x", "host")); }

TEST(a_question_that_is_none_has_an_answer)
{
    CHECK(ANSWERS("", "not known"));
    CHECK(ANSWERS("\x32\x01x", "no extensions"));
}

TEST(bytes_that_are_no_question_are_refused)
{
    struct bytes out = {0};
    struct arena scratch = {0};
    struct error err = {0};
    CHECK(!reflection_answer(&out, &scratch, "\xff\xff", 2, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    arena_release(&scratch);
}
