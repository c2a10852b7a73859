# Writes what ctest includes for one test program: a test for each of the cases that it lists; where
# orders are named, one for each case and order of the fake driver.
execute_process(COMMAND ${emulator} ${program} --list OUTPUT_VARIABLE cases COMMAND_ERROR_IS_FATAL ANY
                OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REPLACE "\n" ";" cases "${cases}")
string(REPLACE ";" " " properties "${properties}")
set(words "") # an emulator and its options, where the host cannot run the program itself
foreach(word IN LISTS emulator)
  string(APPEND words " [[${word}]]")
endforeach()
if(NOT orders)
  set(orders forward)
endif()
set(text "")
foreach(case IN LISTS cases)
  foreach(order IN LISTS orders)
    set(test "${name}.${case}")
    set(set_to "${environment}")
    if(NOT order STREQUAL "forward")
      string(APPEND test "@${order}")
      list(APPEND set_to "FAKECUDA_ORDER=${order}")
    endif()
    string(APPEND text "add_test([[${test}]] ${words} [[${program}]] [[${case}]])\n"
      "set_tests_properties([[${test}]] PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 300"
      " ENVIRONMENT [[${set_to}]] ${properties})\n")
  endforeach()
endforeach()
file(WRITE ${out} "${text}")
