// Pixels, before the crystal comes in: where they are seen, and what each of them catches.

struct Look {
    double direction[3];
    double inverse_airpath;
};

DEVICE void rotate(double *v, const double *axis, double angle) {
    double s, c;
    sincospi(angle * 0.31830988618379067154, &s, &c);
    const double along = dot(axis, v) * (1.0 - c);
    const double x = v[0], y = v[1], z = v[2];
    v[0] = fma(axis[0], along, x * c) + (axis[1] * z - axis[2] * y) * s;
    v[1] = fma(axis[1], along, y * c) + (axis[2] * x - axis[0] * z) * s;
    v[2] = fma(axis[2], along, z * c) + (axis[0] * y - axis[1] * x) * s;
}

// The direction of a place on the detector, given in subpixels from the outer corner of pixel 0,0.
DEVICE Look look_at(const Parameters &p, double slow, double fast, int layer) {
    const double f = p.subpixel * fast, s = p.subpixel * slow, o = p.layer_step * layer;
    double at[3];
    EACH_AXIS at[v] = fma(o, p.normal[v], fma(s, p.slow[v], p.origin[v])) + f * p.fast[v];
#if CURVED
    const double about_slow = at[1] * p.inverse_distance, about_fast = at[2] * p.inverse_distance;
    EACH_AXIS at[v] = p.straight[v];
    rotate(at, p.slow, about_slow);
    rotate(at, p.fast, about_fast);
#endif
    Look look;
    look.inverse_airpath = inverse_root(dot(at, at));
    EACH_AXIS look.direction[v] = at[v] * look.inverse_airpath;
    return look;
}

DEVICE Look look_at_subpixel(const Parameters &p, Index slow, Index fast, int sub, int layer) {
#if SUBPIXELS
    const int sub_slow = sub / p.oversample;
    return look_at(
        p, (double)(slow * p.oversample + sub_slow) + 0.5,
        (double)(fast * p.oversample + (sub - sub_slow * p.oversample)) + 0.5, layer);
#else
    return look_at(p, (double)slow + 0.5, (double)fast + 0.5, layer);
#endif
}

DEVICE double solid_angle(const Parameters &p, const Look &look) {
    const double inverse_square = look.inverse_airpath * look.inverse_airpath;
#if POINT_PIXEL
    return inverse_square;
#else
    return p.area * inverse_square * look.inverse_airpath;
#endif
}

DEVICE double captured(const Parameters &p, const Look &look, int layer) {
#if ABSORBING
    // A curved sensor is met at right angles everywhere.
    const double slant = RADIAL_SENSOR ? 1.0 : inverse(dot(look.direction, p.normal));
    const double depth = p.layer_attenuation * slant;
    return exp(-layer * depth) - exp(-(layer + 1) * depth);
#else
    return 1.0;
#endif
}

DEVICE double polarized(const Parameters &p, const double *d, Index direction) {
#if POLARIZATION == NONE
    return 1.0;
#else
    const double c = dot(d, p.incident + 3 * direction);
#if POLARIZATION == PLAIN
    return fma(0.5 * c, c, 0.5);
#else
    const double e = dot(d, p.horizontal + 3 * direction);
    const double b = dot(d, p.vertical + 3 * direction);
    // cos 2psi without the angle psi = -atan2(b, e); straight ahead psi is 0.
    const double norm = fma(e, e, b * b);
    const double cos_2psi = norm == 0.0 ? 1.0 : fma(e, e, -b * b) * inverse(norm);
    return 0.5 * (fma(c, c, 1.0) - p.polarization * cos_2psi * fma(-c, c, 1.0));
#endif
#endif
}

// Whether the resolution cut keeps a scattering vector.
DEVICE bool within_resolution(const Parameters &p, const double *q) {
    const double stol = 0.5 * sqrt(dot(q, q));
    return !(stol > 0.0 && p.dmin > 0.5 / stol);
}
