#include "base/error.h"
#include "launcher/batch/whole_file.h"
#include "tests/files.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_there(const struct file_path *path)
{
    struct stat about;
    return lstat(path->text, &about) == 0;
}

static void check_text(const struct file_path *path, const char *want)
{
    char text[64] = "";
    FILE *file = fopen(path->text, "r");
    CHECK(file != NULL);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    CHECK_STR(text, want);
}

static void write_and(bool commit, const struct file_path *path, const char *text)
{
    struct whole_file file;
    struct error err = {0};
    CHECK(whole_file_open(&file, path->text, &err));
    CHECK(whole_file_write(&file, text, strlen(text), &err));
    CHECK(whole_file_flush(&file, &err));
    if (commit)
        CHECK(whole_file_commit(&file, &err));
    whole_file_close(&file);
}

TEST(a_file_has_its_name_when_it_is_whole_and_not_before)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "out"),
                           partial = folder_path(&folder, "out.partial");
    write_and(false, &path, "half");
    CHECK(!is_there(&path) && !is_there(&partial));
    write_and(true, &path, "whole");
    check_text(&path, "whole");
    write_and(false, &path, "half");
    check_text(&path, "whole"); /* the old one stays */
    CHECK(!is_there(&partial));
    folder_remove(&folder);
}

TEST(a_link_stays_a_link)
{
    struct stat about;
    const struct folder folder = folder_make();
    const struct file_path target = folder_write(&folder, "target", "old", 3),
                           link = folder_path(&folder, "link");
    CHECK_EQ(symlink(target.text, link.text), 0);
    write_and(true, &link, "new");
    check_text(&target, "new");
    CHECK(lstat(link.text, &about) == 0 && S_ISLNK(about.st_mode));
    folder_remove(&folder);
}

TEST(a_device_is_written_as_it_is)
{
    struct stat about;
    const struct file_path null = {.text = "/dev/null"};
    CHECK(!whole_file_is_possible(null.text) && !whole_file_is_possible("-"));
    write_and(true, &null, "gone");
    CHECK(stat(null.text, &about) == 0 && S_ISCHR(about.st_mode));
}
