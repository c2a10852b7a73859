# `cmake --install`: library and headers, the CMake package, the pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tensorvar)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(TARGETS tensorvar tensorvar_static EXPORT tensorvar
        LIBRARY COMPONENT library
        ARCHIVE COMPONENT library
        FILE_SET HEADERS COMPONENT library)
install(EXPORT tensorvar NAMESPACE tensorvar:: DESTINATION ${package_dir} COMPONENT library
        FILE tensorvar-targets.cmake)
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/tensorvar-config.cmake.in
  ${PROJECT_BINARY_DIR}/package/tensorvar-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/package/tensorvar-config-version.cmake COMPATIBILITY SameMinorVersion)

# The prefix is written as a path from the .pc file, so that an installed tree may be moved.
file(RELATIVE_PATH TV_PC_PREFIX /prefix/${pkgconfig_dir} /prefix)
set(TV_PC_ZLIB)
if(TV_WITH_ZLIB)
  set(TV_PC_ZLIB " -lz")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/tensorvar.pc.in
               ${PROJECT_BINARY_DIR}/package/tensorvar.pc @ONLY)

install(FILES ${PROJECT_BINARY_DIR}/package/tensorvar-config.cmake
              ${PROJECT_BINARY_DIR}/package/tensorvar-config-version.cmake
        DESTINATION ${package_dir} COMPONENT library)
install(FILES ${PROJECT_BINARY_DIR}/package/tensorvar.pc
        DESTINATION ${pkgconfig_dir} COMPONENT library)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)
