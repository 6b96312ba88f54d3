# autotools/weir.m4 - probes of compiler flags and libraries, with answers a person can act on.

# WEIR_TRY_CFLAG(VARIABLE, FLAGS): appends FLAGS to VARIABLE when the compiler takes them in silence.
AC_DEFUN([WEIR_TRY_CFLAG], [
  AS_VAR_PUSHDEF([weir_cv], [weir_cv_cflag_$2])
  AC_CACHE_CHECK([whether $CC takes $2], [weir_cv], [
    weir_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <string.h>]], [[]])],
      [AS_VAR_SET([weir_cv], [yes])], [AS_VAR_SET([weir_cv], [no])])
    CFLAGS=$weir_saved_CFLAGS])
  AS_VAR_IF([weir_cv], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([weir_cv])
])

# WEIR_TRY_LDFLAG(VARIABLE, FLAGS): the same for the linker.
AC_DEFUN([WEIR_TRY_LDFLAG], [
  AS_VAR_PUSHDEF([weir_cv], [weir_cv_ldflag_$2])
  AC_CACHE_CHECK([whether the linker takes $2], [weir_cv], [
    weir_saved_LDFLAGS=$LDFLAGS
    LDFLAGS="$LDFLAGS $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
      [AS_VAR_SET([weir_cv], [yes])], [AS_VAR_SET([weir_cv], [no])])
    LDFLAGS=$weir_saved_LDFLAGS])
  AS_VAR_IF([weir_cv], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([weir_cv])
])

# WEIR_MISSING(WHAT, DEBIAN-PACKAGE): remembers a missing thing; WEIR_REPORT_MISSING names them all.
AC_DEFUN([WEIR_MISSING], [
  weir_missing="$weir_missing
  $1 was not found: apt-get install $2"
  weir_missing_packages="$weir_missing_packages $2"
])

# WEIR_LIBRARY(VARIABLE, NAME, PKG-CONFIG-MODULES, DEBIAN-PACKAGE): also BUILT_WITH_VARIABLE, for `weir version`.
AC_DEFUN([WEIR_LIBRARY], [
  PKG_CHECK_MODULES([$1], [$3], [], [WEIR_MISSING([$2], [$4])])
  weir_module=`AS_ECHO(["$3"]) | $SED 's/ .*//'`
  weir_version=`$PKG_CONFIG --modversion "$weir_module" 2>/dev/null`
  AC_DEFINE_UNQUOTED([BUILT_WITH_$1], ["$weir_version"], [Version of $2 at build time.])
])

# WEIR_REPORT_MISSING: fails once, with every missing thing and one command that installs them.
AC_DEFUN([WEIR_REPORT_MISSING], [
  AS_IF([test -n "$weir_missing"],
    [AC_MSG_ERROR([something weir needs is missing:
$weir_missing

All of them at once: apt-get install$weir_missing_packages
(or ./scripts/install-deps build)])])
])
