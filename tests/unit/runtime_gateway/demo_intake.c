#include "tests/unit/runtime_gateway/demo_intake.h"

#include "base/error.h"
#include "tests/test.h"

struct intake *demo_intake(void)
{
    static struct intake intake;
    struct error err = {0};
    if (intake.tokenizer == NULL && !intake_open(&intake, SOURCE_DIR "/demo/model", &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return &intake;
}
