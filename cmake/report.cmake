# What configure found and left out: collected as it goes, printed once at its end.
macro(tv_report what text)
  set_property(GLOBAL APPEND PROPERTY TV_REPORT "${what}: ${text}")
endmacro()

function(tv_report_print)
  get_property(lines GLOBAL PROPERTY TV_REPORT)
  message(STATUS "libtensorvar ${PROJECT_VERSION}, ${CMAKE_BUILD_TYPE}")
  foreach(line IN LISTS lines)
    message(STATUS "  ${line}")
  endforeach()
endfunction()
