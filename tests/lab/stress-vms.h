/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs that come and go beside the guest of the stress, and whose access fds outlive
 * them: of another process that is killed, or of this one.
 */
#pragma once

#include "stress.h"

/**
 * stress_vms_step() - make a VM, harvest it, end it, look what its fds say then
 *
 * The fds are kept and closed much later, in random order.
 */
void stress_vms_step(struct stress_worker *w);

/** stress_vms_end() - close the fds that are left; when no worker runs */
void stress_vms_end(struct stress *s);
