# Counts single tests in the results of ctest --output-junit, and prints one line:
#   N passed, N failed, N skipped
# A program of tests/test.h says how many it ran, and so does Python's unittest; any other test of
# CTest counts as one.
# What failed or was skipped is named before. Ends with 1 when something failed.
# CTest must keep the outputs whole: --test-output-size-passed, --test-output-size-failed.

function finish() {
    if (name == "")
        return
    if (status == "fail" && n_failed == 0)
        n_failed = 1 # it crashed, was stopped, or is no program of ours
    else if (n_passed + n_failed + n_skipped == 0)
        status == "run" ? n_passed++ : n_skipped++
    if (n_failed > 0)
        print "failed: " name " (" n_failed ")"
    passed += n_passed
    failed += n_failed
    skipped += n_skipped
}

function number_after(word) {
    return match($0, word "[0-9]+") ? substr($0, RSTART + length(word), RLENGTH - length(word)) : 0
}

/<testcase / {
    finish()
    match($0, / name="[^"]*"/)
    name = substr($0, RSTART + 7, RLENGTH - 8)
    match($0, / status="[^"]*"/)
    status = substr($0, RSTART + 9, RLENGTH - 10)
    n_passed = n_failed = n_skipped = 0
    why = ""
    ran = 0
}

/^(.*>)?[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped/ {
    gsub(/<[^>]*>/, "")
    n_passed += $1
    n_failed += $3
    n_skipped += $5
}

# unittest: "Ran 4 tests in 1.1s", and later "OK (skipped=1)" or "FAILED (failures=1, errors=2)"
/^(.*>)?Ran [0-9]+ tests? in / {
    gsub(/<[^>]*>/, "")
    ran = $2
}

/^(OK|FAILED)( \([a-z]+=[^)]*\))?(<.*)?$/ && ran > 0 {
    bad = number_after("failures=") + number_after("errors=")
    left_out = number_after("skipped=")
    n_passed += ran - bad - left_out
    n_failed += bad
    n_skipped += left_out
    ran = 0
}

/^(.*>)?  because / { why = substr($0, index($0, "because")) }

/^(.*>)?SKIP/ {
    gsub(/<[^>]*>/, "")
    sub(/^[ \t]+/, "")
    print "skipped: " name ": " $0 (why == "" ? "" : " " why)
    why = ""
}

END {
    finish()
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0
}
