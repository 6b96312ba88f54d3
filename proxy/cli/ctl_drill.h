/* cli/ctl_drill.h - what the files of `weir ctl drill` share. */
#ifndef CLI_CTL_DRILL_H
#define CLI_CTL_DRILL_H

#include "cli/ctl.h"

/* Tells on stderr how many requests of real users a live drill would meet, and asks unless --yes was said. Else than OK: it is
   not meant, or could not be asked, and nothing was done. */
enum command_status ctl_drill_confirm_live(struct call *call);

#endif
