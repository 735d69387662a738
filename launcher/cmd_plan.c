/* phalanx plan: what each rank of a job would hold and receive, before it is started. */
#include "launcher/commands.h"
#include "launcher/model_path.h"
#include "launcher/plan/memory_plan.h"
#include "launcher/plan/output.h"
#include "runtime/options/options.h"

bool cmd_plan(struct options *options, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    struct memory_plan plan = {0};
    if (!model_path_find(folder, options->model, "config.json", err))
        return false;
    options->model = folder;
    const bool good = memory_plan_make(&plan, options, err);
    if (good && options->json)
        plan_print_json(&plan, options, stdout);
    else if (good)
        plan_print_table(&plan, options, stdout);
    memory_plan_release(&plan);
    return good;
}
