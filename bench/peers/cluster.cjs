'use strict';
// node:cluster around the app in APP; SCHEDULING is rr or none. setupPrimary() freezes the policy, so that comes first.
const cluster = require('node:cluster');
cluster.schedulingPolicy = process.env.SCHEDULING === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
cluster.setupPrimary({ exec: process.env.APP });
for (let i = 0; i < Number(process.env.INSTANCES); i++) cluster.fork();
