# Writes what ctest includes for one test program: a test for each of the cases that it lists.
execute_process(COMMAND ${program} --list OUTPUT_VARIABLE cases COMMAND_ERROR_IS_FATAL ANY
                OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REPLACE "\n" ";" cases "${cases}")
string(REPLACE ";" " " properties "${properties}")
set(text "")
foreach(case IN LISTS cases)
  string(APPEND text "add_test([[${name}.${case}]] [[${program}]] [[${case}]])\n"
    "set_tests_properties([[${name}.${case}]] PROPERTIES"
    " LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 300 ${properties})\n")
endforeach()
file(WRITE ${out} "${text}")
