#include "launcher/job/mpirun_files.h"

#include "base/memory.h"

#include <ftw.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SEGMENTS_KEY[] = "OMPI_MCA_btl_vader_backing_directory";
static const char SESSIONS_KEY[] = "OMPI_MCA_orte_tmpdir_base";
enum { MAX_OPEN = 8 };

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *place)
{
    (void)stat;
    (void)type;
    (void)place;
    remove(path);
    return 0;
}

static void remove_all(const char *folder)
{
    nftw(folder, remove_one, MAX_OPEN, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void mpirun_files_choose(struct mpirun_files *out, const char *sessions, uint64_t tag)
{
    *out = (struct mpirun_files){0};
    if (getenv(SEGMENTS_KEY) == NULL)
        snprintf(out->segments, sizeof out->segments, "/dev/shm/phalanx-%016" PRIx64, tag);
    if (getenv(SESSIONS_KEY) == NULL && strlen(sessions) < sizeof out->sessions)
        snprintf(out->sessions, sizeof out->sessions, "%s", sessions);
}

void mpirun_files_make(struct mpirun_files *files)
{
    if (files->segments[0] != '\0' && mkdir(files->segments, S_IRWXU) != 0)
        files->segments[0] = '\0';
}

void mpirun_files_settings(const struct mpirun_files *files, struct arena *arena, char **out)
{
    const char *const rows[MPIRUN_FILES_SETTINGS][2] = {{SEGMENTS_KEY, files->segments},
                                                        {SESSIONS_KEY, files->sessions}};
    for (int i = 0; i < MPIRUN_FILES_SETTINGS; i++) {
        char text[128];
        const int n = snprintf(text, sizeof text, "%s=%s", rows[i][0], rows[i][1]);
        if (*rows[i][1] != '\0')
            *out++ = arena_copy_text(arena, text, (size_t)n);
    }
    *out = NULL;
}

void mpirun_files_settle(struct mpirun_files *files)
{
    if (files->segments[0] != '\0')
        remove_all(files->segments);
    files->segments[0] = '\0';
}

void mpirun_files_remove(struct mpirun_files *files, pid_t mpirun)
{
    char pattern[sizeof files->sessions + 64];
    glob_t found;
    mpirun_files_settle(files);
    if (files->sessions[0] == '\0')
        return;
    snprintf(pattern, sizeof pattern, "%s/ompi.*.%u/pid.%d", files->sessions, (unsigned)geteuid(),
             (int)mpirun);
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            remove_all(found.gl_pathv[i]);
        globfree(&found);
    }
}
