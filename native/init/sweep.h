// Ending what is left in the control group of a service: processes that no supervisor knows of, because it is gone or they hid from it. cgroups(7).
#pragma once

namespace covet {

// After an ordinary stop everything that is left there is ended: SIGTERM, a second, SIGKILL. Before a restart, which $SERVICE_RESULT tells, nothing
// is touched: the next covet-init takes it over. The exit code, 0 unless the group cannot be read. systemd.exec(5).
int sweepAfterService();

// Everything but this process, at once. How many there were; -1 when the group cannot be told.
int sweepOthers();

}  // namespace covet
